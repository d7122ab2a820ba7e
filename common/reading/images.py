"""A volume or a picture, whichever a file holds."""

from os import PathLike

import numpy as np

from ..errors import InputError
from . import nifti
from .formats import identify, no_such_file
from .pictures import read_pixels

__all__ = ["is_volume", "read_image", "read_slice"]


def is_volume(path: str | PathLike[str]) -> bool:
    """Whether a file is NIfTI, by its first bytes; InputError if there is none."""
    try:
        kind = identify(path)
    except FileNotFoundError as error:
        raise no_such_file(path, "give an image") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give an image") from error
    return kind in ("nii", "nii.gz") or str(path).lower().endswith(nifti.NIFTI_SUFFIXES)


def read_image(path: str | PathLike[str], *, labels: bool = False) -> np.ndarray:
    """Volume (Z, Y, X) of a NIfTI file, or picture (Y, X) or (Y, X, C) of any other; see `read_pixels` for ``labels``.

    InputError if it is neither.
    """
    return nifti.read_volume(path) if is_volume(path) else read_pixels(path, labels=labels)


def read_slice(path: str | PathLike[str], z: int, *, labels: bool = False) -> np.ndarray:
    """One slice (Y, X) of a NIfTI file, or the picture that any other holds; InputError as `read_image`."""
    return nifti.read_plane(path, z) if is_volume(path) else read_pixels(path, labels=labels)
