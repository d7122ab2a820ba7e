"""Which files of a Cell Tracking Challenge folder belong together: names only, no pixels.

::

    01/tTTT.tif                     image of frame TTT (three or four digits)
    01_GT/SEG/man_segTTT.tif        gold truth: every pixel of the frame is annotated
    01_GT/SEG/man_seg_TTT_ZZZ.tif   gold truth of the single slice ZZZ, counted from 0
    01_ST/SEG/man_segTTT.tif        silver truth: computed, complete
    01_GT/TRA/man_trackTTT.tif      one marker per object
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError

__all__ = ["MARKERS", "SEGMENTATION", "SLICE", "Frame", "files_by_number", "find_sequences"]

logger = logging.getLogger(__name__)

IMAGE = re.compile(r"t(\d{3,})\.tif")
SEGMENTATION = re.compile(r"man_seg(\d{3,})\.tif")
SLICE = re.compile(r"man_seg_(\d{3,})_(\d{3,})\.tif")
MARKERS = re.compile(r"man_track(\d{3,})\.tif")


@dataclass(frozen=True)
class Frame:
    """One time point and the files that describe it; truth that does not exist is None or empty.

    ``digits`` is the frame number as the image's name spells it; ``gold_slices`` maps a slice number to its file.
    """

    sequence: str
    digits: str
    image: Path
    gold: Path | None = None
    silver: Path | None = None
    gold_slices: Mapping[int, Path] | None = None
    markers: Path | None = None

    @property
    def stem(self) -> str:
        """Name of every file made from this frame, unique within the dataset."""
        return f"{self.sequence}_t{self.digits}"

    @property
    def complete_truth(self) -> Path | None:
        """The truth that covers the whole frame: gold before silver."""
        return self.gold or self.silver

    @property
    def annotated_slices(self) -> dict[int, Path]:
        """Gold truth of single slices, in order; empty where a truth that covers the whole frame goes before it."""
        return {} if self.complete_truth else dict(sorted((self.gold_slices or {}).items()))

    @property
    def label_files(self) -> list[Path]:
        """Files that the label volume is made from; empty for a frame without truth."""
        return [self.complete_truth] if self.complete_truth else list(self.annotated_slices.values())

    @property
    def label_source(self) -> str | None:
        """GT (gold), ST (silver), or None."""
        if not self.label_files:
            return None
        return "ST" if self.complete_truth and not self.gold else "GT"


def find_sequences(source: Path) -> dict[str, list[Frame]]:
    """Sequences of a dataset folder by name, with their frames by number, paired with truth by that number.

    FileNotFoundError if there is no such folder; InputError if it holds no sequence, truth lacks its sequence or its
    image, a sequence has no image, or two files claim one frame.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such folder, expected a Cell Tracking Challenge dataset")
    folders = [path.name for path in sorted(source.iterdir()) if path.is_dir()]
    names = [name for name in folders if re.fullmatch(r"\d{2,}", name)]
    for truth in (name for name in folders if re.fullmatch(r"\d{2,}_(GT|ST)", name)):
        if truth[:-3] not in names:
            raise InputError(
                f"{source / truth}: truth without its sequence folder {truth[:-3]}; add it or remove {truth}"
            )
    if not names:
        raise InputError(f"{source}: no sequence folder found, expected 01, 02, ... right inside it; give their parent")
    return {name: _find_frames(source, name) for name in names}


def _find_frames(source: Path, sequence: str) -> list[Frame]:
    """Frames of one sequence by number."""
    gold_folder, gold_tracks = source / f"{sequence}_GT" / "SEG", source / f"{sequence}_GT" / "TRA"
    (images,) = files_by_number(source / sequence, IMAGE)
    gold, slices = files_by_number(gold_folder, SEGMENTATION, SLICE)
    (silver,) = files_by_number(source / f"{sequence}_ST" / "SEG", SEGMENTATION)
    (markers,) = files_by_number(gold_tracks, MARKERS)
    if not images:
        raise InputError(f"{source / sequence}: no image found, expected t000.tif, t001.tif, ...; add them")
    for truths in (gold, slices, silver, markers):
        for numbers, path in truths.items():
            if numbers[:1] not in images:
                raise InputError(
                    f"{path}: truth of frame {numbers[0]} that has no image in {source / sequence}; "
                    f"add t{numbers[0]:03d}.tif or remove the truth"
                )
    return [
        Frame(
            sequence,
            digits=IMAGE.sub(r"\1", image.name),
            image=image,
            gold=gold.get(number),
            silver=silver.get(number),
            gold_slices={z: path for (*frame, z), path in slices.items() if tuple(frame) == number},
            markers=markers.get(number),
        )
        for number, image in sorted(images.items())
    ]


def files_by_number(folder: Path, *patterns: re.Pattern) -> list[dict[tuple[int, ...], Path]]:
    """Find the TIFF files of a folder by the numbers in their names.

    The folder may not exist; names that start with a dot or match no pattern are left out. Every group of a pattern is
    a number; for each pattern the result maps these numbers to the file, in order of the names. InputError if two names
    stand for the same numbers.
    """
    found: list[dict[tuple[int, ...], Path]] = [{} for _ in patterns]
    tiffs = (path for path in folder.glob("[!.]*") if path.suffix.lower() in (".tif", ".tiff"))
    for path in sorted(tiffs):
        for files, pattern in zip(found, patterns, strict=True):
            if match := pattern.fullmatch(path.name):
                numbers = tuple(int(digits) for digits in match.groups())
                if numbers in files:
                    raise InputError(f"{path}: same frame as {files[numbers].name}; keep one of the two")
                files[numbers] = path
                break
        else:
            logger.warning("%s: not a name of the Cell Tracking Challenge, left out", path)
    return found
