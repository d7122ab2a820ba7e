"""What must hold for all files of a Cell Tracking Challenge dataset before anything is written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from common.errors import InputError
from common.reading.tiff import TiffHeader, read_header
from tools.convert.ctc_layout import Frame

__all__ = ["check_frames"]

NIFTI_MAX_EDGE = 32767


def check_frames(frames: Iterable[Frame]) -> dict[str, tuple[int, int, int]]:
    """Check the headers of every image, truth and marker file.

    Parameters
    ----------
    frames : iterable of Frame
        The dataset.

    Returns
    -------
    dict of str to tuple of int
        Frame stem -> image shape (Z, Y, X).

    Raises
    ------
    InputError
        If a file is refused by `read_header`, a truth's shape differs from its image's or its dtype is not integer, or
        a slice lies outside its volume.
    """
    shapes = {}
    for frame in frames:
        image = read_header(frame.image)
        if image.dtype.kind not in "iuf" or (image.dtype.itemsize > 4 and image.dtype.kind != "f"):
            raise InputError(f"{frame.image}: pixels are {image.dtype}, expected 8, 16 or 32 bit gray; export it again")
        if max(image.shape) > NIFTI_MAX_EDGE:
            raise InputError(f"{frame.image}: shape {image.shape}, NIfTI holds at most {NIFTI_MAX_EDGE}; crop it")
        for path in [path for path in (frame.complete_truth, frame.markers) if path]:
            _check_truth(path, read_header(path, labels=True), frame, expected=image.shape)
        for z, path in frame.annotated_slices.items():
            if z >= image.shape[0]:
                raise InputError(f"{path}: slice {z}, but {frame.image} has {image.shape[0]} slices, counted from 0")
            _check_truth(path, read_header(path, labels=True), frame, expected=(1, *image.shape[1:]))
        shapes[frame.stem] = image.shape
    return shapes


def _check_truth(path: Path, header: TiffHeader, frame: Frame, *, expected: tuple[int, int, int]) -> None:
    """Refuse a truth of another shape than ``expected``, or whose values are not integers."""
    if header.shape != expected:
        raise InputError(
            f"{path}: shape {header.shape}, expected {expected} as in {frame.image}; export both on one pixel grid"
        )
    if header.dtype.kind not in "iu":
        raise InputError(f"{path}: labels are {header.dtype}, expected integers; export one whole number per object")
