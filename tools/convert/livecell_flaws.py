"""Known flaws of LIVECell that a model should not learn from: found, and dropped on demand."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError
from tools.convert.contours import find_duplicates
from tools.convert.livecell_layout import PLAIN

__all__ = ["Frame", "drop_duplicates", "find_leaks", "find_sparse"]


@dataclass
class Frame:
    """An image on its way into the dataset.

    Attributes
    ----------
    split : str
        test, val or train; ``"all"`` for plain COCO.
    path : Path
    stem : str
        Name of everything that is made from it.
    cell_type : str
    digest : bytes
        Checksum of its pixels.
    shape : tuple of int
        Height and width in pixels.
    objects : list of bytes
        COCO's compressed run lengths.
    crowd : list of bool
        Objects that are a region of many.
    """

    split: str
    path: Path
    stem: str
    cell_type: str
    digest: bytes
    shape: tuple[int, int]
    objects: list[bytes]
    crowd: list[bool]


def find_leaks(frames: Sequence[Frame]) -> list[tuple[Frame, Frame]]:
    """Images that are in two splits, by their pixels, whatever their names; of plain COCO those that are there twice.

    The frames come in the order in which splits keep an image: test, val, train. Each pair is the frame to keep, and
    its copy in a later split, or in the one that is dealt to folds. InputError if two images have one name but differ.
    """
    first: dict[bytes, Frame] = {}
    named: dict[str, Frame] = {}
    leaks = []
    for frame in frames:
        other = named.setdefault(frame.stem, frame)
        if other is not frame and (other.split == frame.split or other.digest != frame.digest):
            raise InputError(f"{frame.path}: its results would have the same name as those of {other.path}; rename one")
        kept = first.setdefault(frame.digest, frame)
        if kept.split != frame.split or (kept is not frame and frame.split == PLAIN):
            leaks.append((kept, frame))
    return leaks


def find_sparse(frames: Sequence[Frame], min_share: float) -> list[Frame]:
    """Images with next to no annotation: no object, or fewer than ``min_share`` of the median of their cell type."""
    counts: dict[str, list[int]] = {}
    for frame in frames:
        counts.setdefault(frame.cell_type, []).append(len(frame.objects))
    usual = {cell_type: statistics.median(numbers) for cell_type, numbers in counts.items()}
    return [f for f in frames if not f.objects or len(f.objects) < min_share * usual[f.cell_type]]


def drop_duplicates(frame: Frame) -> int:
    """Take objects that cover exactly the pixels of an earlier one out of a frame; return how many."""
    duplicates = set(find_duplicates(frame.objects))
    for name in ("objects", "crowd"):
        setattr(frame, name, [item for index, item in enumerate(getattr(frame, name)) if index not in duplicates])
    return len(duplicates)
