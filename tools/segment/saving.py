"""Results in the formats of other programs, with the image's pixel size."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tifffile

from common.errors import InputError
from common.names import stem as stem_of
from common.reading.formats import identify
from common.reading.tiff import read_pixel_size
from common.reading.tiff_spacing import resolution_um
from tools.formats.microscopes import maker_of, open_scenes
from tools.formats.saving import FORMATS, About, as_objects, saved_path, write
from tools.formats.scenes import PICKS, Spacing
from tools.formats.sequences import group_frames, write_sequence
from tools.segment.results import IN_BLOCKS, MASKS, read_mask
from tools.segment.sources import Source

__all__ = ["find_labels", "is_saved", "read_objects", "save_labels", "save_sequences"]


def save_labels(
    labels: Path, image: Path, destination: Path, stem: str, save: Sequence[str], kind: str, options: Mapping[str, str]
) -> list[Path]:
    """Write the labels of an image in further formats; what was written.

    ``labels`` are as a bundle wrote them; of a mask, connected parts are taken for objects, each of which is a
    ``kind``. ``image`` is the user's file, ``stem`` what names of results begin with, ``destination`` exists, ``save``
    are formats, options as for `LoadedBundle.segment`. InputError if a format cannot hold them, or a file cannot be
    written.
    """
    wanted = [name for name in save if name in FORMATS]
    if not wanted:
        return []
    numbers, spacing = read_objects(labels, image)
    about = About(image.name, _spacing(spacing, labels, image, options), kind)
    return [write(numbers, destination, stem, name, about) for name in wanted]


def read_objects(labels: Path, image: object = "") -> tuple[np.ndarray, tuple[float, ...]]:
    """As `read_mask`, by object: of a result of the kind ``mask`` its parts; all others are numbered by object."""
    numbers, spacing = read_mask(labels)
    return (as_objects(numbers, image) if stem_of(labels).endswith("_mask") else numbers), spacing


def is_saved(destination: Path, stem: str, save: Sequence[str]) -> bool:
    """Whether all formats of one image are there."""
    return all(saved_path(destination, stem, name).exists() for name in save if name in FORMATS)


def find_labels(destination: Path, stem: str, kind: str) -> Path:
    """The mask of an image among its results, numbered by object where that is there, too.

    InputError if there is none.
    """
    names = [f"{stem}_{one}{ending}" for one in ("instances", kind) for ending in (*MASKS, IN_BLOCKS)]
    found = next((destination / name for name in names if (destination / name).exists()), None)
    if found is None:
        raise InputError(f"{destination}: no {stem}_{kind}.*; segment the image again")
    return found


def save_sequences(sources: Sequence[Source], destination: Path, kind: str) -> None:
    """Write what is published as ``01_RES``, ``02_RES``, ... of the Cell Tracking Challenge.

    A folder of the challenge, such as ``02`` with ``t000.tif`` and so on, keeps its number. InputError if the names
    are not those of frames, or there are too many objects for 16 bit.
    """
    sequences = group_frames(source.stem for source in sources)
    folder = sources[0].path.resolve().parent.name
    if len(sequences) == 1 and folder.isdecimal() and len(folder) > 1:
        sequences = {folder: sequences["01"]}
    for name, frames in sequences.items():
        readers = {
            frame: (lambda path: lambda: read_objects(path, path)[0])(find_labels(destination, stem, kind))
            for frame, stem in frames.items()
        }
        write_sequence(destination / f"{name}_RES", readers)


def _spacing(told: tuple[float, ...], labels: Path, image: Path, options: Mapping[str, str]) -> Spacing:
    """From the result if it has one, else as the user gives it, else from the image."""
    if told:
        z, y, x = (float(f"{step:.7g}") for step in told)  # as NIfTI holds them
        return z, y, x
    if "pixel_size_um" in options:
        size = float(options["pixel_size_um"])
        return None, size, size
    if maker_of(image) is not None or any(name in options for name in PICKS):
        with open_scenes(image) as scenes:
            return scenes[int(options.get("scene") or 0)].spacing
    known = None
    if labels.is_file() and identify(labels) == "tiff":
        with tifffile.TiffFile(labels) as tiff:
            known = resolution_um(tiff.pages.first)
    if known is None and identify(image) == "tiff":
        known = read_pixel_size(image)
    return (None, *known) if known else (None, None, None)
