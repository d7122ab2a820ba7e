"""Label images in the formats that other programs open."""

import importlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import InputError
from tools.formats.scenes import Spacing

__all__ = ["FORMATS", "SEQUENCES", "About", "as_objects", "parse_formats", "saved_path", "write"]

logger = logging.getLogger(__name__)

UNKNOWN: Spacing = (None, None, None)


@dataclass(frozen=True)
class About:
    """What is known about the labels of an image: the name of its file, and what an object is, such as ``cell``.

    ``spacing`` is the size of a voxel in µm as (Z, Y, X); None for each that is not known.
    """

    image: str
    spacing: Spacing = UNKNOWN
    kind: str = "object"


@dataclass(frozen=True)
class _Format:
    """A format: how names of its files end, and the module whose ``write`` takes a path, labels and `About`."""

    ending: str
    module: str
    package: str = ""
    takes_volumes: bool = True


FORMATS = {
    "ome-tiff": _Format("_labels.ome.tif", "label_tiff"),
    "imagej-roi": _Format("_labels.roi.zip", "imagej_roi", "roifile"),
    "geojson": _Format("_labels.geojson", "qupath", takes_volumes=False),
    "coco": _Format("_labels.coco.json", "coco", takes_volumes=False),
    "ome-zarr": _Format("_labels.ome.zarr", "label_zarr", "ome-zarr"),
    "csv": _Format("_labels.csv", "object_table"),
}
SEQUENCES = "ctc"  # of several images


def parse_formats(text: str, *, num_axes: int = 0) -> tuple[str, ...]:
    """Formats as they are typed, separated by commas, for labels of so many axes, 0 where that is not known yet.

    InputError if there is none of such a name, or it does not take volumes.
    """
    wanted = tuple(dict.fromkeys(name.strip().lower() for name in text.strip("()[] ").split(",") if name.strip()))
    for name in wanted:
        if name not in FORMATS and name != SEQUENCES:
            raise InputError(f"--save {name}: no such format; choose among {', '.join([*FORMATS, SEQUENCES])}")
        if num_axes == 3 and name in FORMATS and not FORMATS[name].takes_volumes:
            volumes = ", ".join([*(one for one in FORMATS if FORMATS[one].takes_volumes), SEQUENCES])
            raise InputError(f"--save {name}: holds no volumes; choose among {volumes}")
    return wanted


def saved_path(folder: Path, stem: str, name: str) -> Path:
    """Where `write` puts labels in a format."""
    return folder / f"{stem}{FORMATS[name].ending}"


def write(labels: np.ndarray, folder: Path, stem: str, name: str, about: About) -> Path:
    """Write labels, whole or not at all.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X) or (Z, Y, X)
        0 is background.
    folder : Path
        It exists.
    stem : str
        That the file's name begins with.
    name : str
        One of `FORMATS`.
    about : About

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    InputError
        If the format holds no such labels, the package that writes it is missing, or it cannot be written.
    """
    parse_formats(name, num_axes=labels.ndim)
    if labels.dtype.kind not in "uib" or (labels.size and labels.min() < 0):
        raise InputError(f"{stem}: labels of type {labels.dtype}, expected integers of at least 0")
    labels = labels.astype(np.uint8) if labels.dtype == bool else labels
    chosen, path = FORMATS[name], saved_path(folder, stem, name)
    try:
        writer: Callable[[Path, np.ndarray, About], None] = importlib.import_module(
            f"tools.formats.{chosen.module}"
        ).write
    except ModuleNotFoundError as error:
        raise InputError(f"--save {name}: needs a package: pip install {chosen.package}") from error
    try:
        writer(path, labels, about)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def as_objects(labels: np.ndarray, source: object = "") -> np.ndarray:
    """Labels by object: those of a mask are its connected parts (all neighbours), which is logged."""
    values = np.unique(labels)
    if len(values[values != 0]) != 1:
        return labels
    from scipy import ndimage  # a third of the start of a call

    parts, num_parts = ndimage.label(labels, np.ones((3,) * labels.ndim))
    if num_parts > 1:
        logger.info("%s: a mask, whose %d connected parts are taken for objects", source, num_parts)
    return parts


def smallest_type(labels: np.ndarray, types: Sequence[type] = (np.uint8, np.uint16, np.uint32)) -> np.ndarray:
    """Labels in the first of the types that holds them."""
    highest = int(labels.max(initial=0))
    return labels.astype(next(kind for kind in types if highest <= np.iinfo(kind).max))
