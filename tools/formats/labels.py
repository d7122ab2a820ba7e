"""Label images as the 16 bit TIFF that the Cell Tracking Challenge and other programs read."""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile

from common.errors import InputError
from common.files import replacing

__all__ = ["MAX_LABEL", "as_uint16", "save_tiff", "write_labels"]

MAX_LABEL = np.iinfo(np.uint16).max


def as_uint16(path: Path, labels: np.ndarray) -> np.ndarray:
    """The same objects as uint16; renumbered only if a label does not fit.

    InputError if the labels are not integers of at least 0, or there are more than 65535 objects; it names the file.
    """
    if labels.dtype.kind not in "iu":
        raise InputError(f"{path}: labels are {labels.dtype}, expected integers; save one whole number per object")
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0:
        raise InputError(f"{path}: label {lowest}, expected 0 for background and positive numbers; label it again")
    if highest <= MAX_LABEL:
        return labels.astype(np.uint16)
    distinct, numbers = np.unique(np.append(labels, labels.dtype.type(0)), return_inverse=True)
    if len(distinct) - 1 > MAX_LABEL:
        raise InputError(f"{path}: {len(distinct) - 1} objects, uint16 holds at most {MAX_LABEL}; crop the image")
    return numbers[:-1].reshape(labels.shape).astype(np.uint16)


def save_tiff(file: Path | BinaryIO, labels: np.ndarray, spacing: tuple[float, ...] = ()) -> None:
    """Save labels as a gray TIFF, one page per slice; with a spacing (µm), as an ImageJ stack that keeps it.

    ImageJ knows no integers of more than 16 bit: they are saved as a TIFF without the spacing.
    """
    about: dict[str, Any] = {"photometric": "minisblack", "metadata": None}
    if spacing and labels.dtype.itemsize <= 2:
        depth, height, width = spacing
        about = {"imagej": True, "metadata": {"axes": "ZYX", "spacing": depth, "unit": "um"}}
        about["resolution"] = (1 / width, 1 / height)
    tifffile.imwrite(file, labels, compression="zlib", **about)


def write_labels(path: Path, labels: np.ndarray, spacing: tuple[float, ...] = ()) -> None:
    """Write labels (Z, Y, X) with `save_tiff`, whole or not at all; the folder is created."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            save_tiff(partial, labels, spacing)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another folder") from error
