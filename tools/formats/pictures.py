"""2D images as OME-TIFF with their pixel size."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from tools.formats.scenes import Spacing

__all__ = ["STRIP_ROWS", "write_picture", "write_strips"]

STRIP_ROWS = 512


def write_picture(path: Path, pixels: np.ndarray, spacing: Spacing = (None, None, None)) -> None:
    """Write a picture; see `write_strips`.

    Parameters
    ----------
    path : Path
        Ends in ``.tif`` or ``.tiff``.
    pixels : ndarray, shape (Y, X) or (Y, X, 3)
        Of any type.
    spacing : tuple of float or None
        Size of a voxel in µm as (Z, Y, X).
    """
    strips = (pixels[top : top + STRIP_ROWS] for top in range(0, len(pixels), STRIP_ROWS))
    write_strips(path, pixels.shape, pixels.dtype, strips, spacing)


def write_strips(
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype,
    strips: Iterable[np.ndarray],
    spacing: Spacing = (None, None, None),
) -> None:
    """Write a picture that is not in memory as a whole.

    Parameters
    ----------
    path : Path
        Ends in ``.tif`` or ``.tiff``.
    shape : tuple of int
        (Y, X) or (Y, X, 3).
    dtype : numpy.dtype
        Any type.
    strips : iterable of ndarray
        `STRIP_ROWS` rows each, the last one what is left, from top to bottom.
    spacing : tuple of float or None
        Size of a voxel in µm as (Z, Y, X).
    """
    _, height, width = spacing
    about: dict[str, Any] = {"axes": "YXS" if len(shape) == 3 else "YX"}
    for axis, size in (("Y", height), ("X", width)):
        if size is not None:
            about |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
    tifffile.imwrite(
        path,
        iter(strips),
        shape=shape,
        dtype=dtype,
        ome=True,
        photometric="rgb" if len(shape) == 3 else "minisblack",
        metadata=about,
        rowsperstrip=STRIP_ROWS,
        bigtiff=math.prod(shape) * np.dtype(dtype).itemsize > 3 << 30,
    )
