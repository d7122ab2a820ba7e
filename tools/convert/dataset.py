"""What converters share: the folder of a dataset, and volumes that a second run does not write again."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.reading.tiff import read_volume
from tools.convert.datalist import check_replaceable
from tools.convert.nifti import is_whole, write_volume

__all__ = ["as_numbers", "describe", "prepare_dataset", "read_ids", "read_image", "write_unless_whole"]


def prepare_dataset(destination: Path, folders: Sequence[str]) -> Path:
    """Make the folders of a dataset and remove the dataset.json of an earlier run.

    Parameters
    ----------
    destination : Path
        Folder of the dataset.
    folders : sequence of str
        Folders to make in it.

    Returns
    -------
    Path
        Where dataset.json goes.

    Raises
    ------
    InputError
        If the folder cannot be written, or holds a dataset.json that no converter wrote.
    """
    path = destination / "dataset.json"
    check_replaceable(destination)
    try:
        for folder in folders:
            (destination / folder).mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        (destination / ".partial-dataset.json").touch()  # mkdir says nothing about a read-only folder that exists
        (destination / ".partial-dataset.json").unlink()
    except OSError as error:
        raise InputError(f"{destination}: cannot be written ({error.strerror}); choose another folder") from error
    return path


def write_unless_whole(
    path: Path,
    sources: list[Path],
    read: Callable[[], np.ndarray],
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    note: str = "",
) -> None:
    """Write a volume, unless it is there, whole, and made from these very sources.

    Parameters
    ----------
    path : Path
        File to write, ending in ``.nii.gz``.
    sources : list of Path
        Files that the volume is made from.
    read : callable
        Makes it, as (Z, Y, X).
    shape : tuple of int
        Its shape (Z, Y, X).
    spacing : tuple of float
        Voxel spacing in µm as (Z, Y, X).
    note : str
        What was done to the sources; with another one the volume is written again.
    """
    description = describe(sources, note)
    if not is_whole(path, shape, spacing, description=description):
        write_volume(path, read(), spacing, description=description)


def read_image(path: Path) -> np.ndarray:
    """Image as (Z, Y, X) in its own dtype, floats in 32 bit, one bit as 0 and 1; InputError where it is not finite."""
    return as_numbers(path, read_volume(path))


def as_numbers(path: Path, image: np.ndarray) -> np.ndarray:
    """An image in a type that NIfTI and torch hold, as `read_image` gives it."""
    if image.dtype == bool:
        return image.astype(np.uint8)
    if image.dtype.kind == "c":
        raise InputError(f"{path}: voxels are {image.dtype}, expected gray values; export their magnitude")
    if image.dtype.kind != "f":
        return image
    num_bad = image.size - np.count_nonzero(np.abs(image) <= np.finfo(np.float32).max)
    if num_bad:
        raise InputError(f"{path}: {num_bad} voxels are NaN, infinite or beyond 32 bit; expected numbers, export again")
    return image.astype(np.float32)


def read_ids(path: Path) -> np.ndarray:
    """Object ids as (Z, Y, X): uint16 where they fit, else int32, which torch can hold."""
    ids = read_volume(path, labels=True)
    lowest, highest = int(ids.min()), int(ids.max())
    if lowest < 0 or highest > np.iinfo(np.int32).max:
        raise InputError(f"{path}: ids from {lowest} to {highest}, expected 0 to 2147483647; renumber the objects")
    return ids.astype(np.uint16 if highest <= np.iinfo(np.uint16).max else np.int32)


def describe(sources: Sequence[Path], note: str = "") -> str:
    """Text that changes with the sources and the note: the first one's name, and a checksum of all names and times."""
    states = [f"{path.absolute().parts[-3:]} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in sources]
    states += [note] if note else []
    return f"{sources[0].name} {zlib.crc32('|'.join(states).encode()):08x}"
