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
    """Write a picture, (Y, X) or (Y, X, 3), of any type; see `write_strips`."""
    strips = (pixels[top : top + STRIP_ROWS] for top in range(0, len(pixels), STRIP_ROWS))
    write_strips(path, pixels.shape, pixels.dtype, strips, spacing)


def write_strips(
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype,
    strips: Iterable[np.ndarray],
    spacing: Spacing = (None, None, None),
) -> None:
    """Write a picture, ``.tif`` or ``.tiff``, of shape (Y, X) or (Y, X, 3), that is not in memory as a whole.

    Strips are `STRIP_ROWS` rows each, the last one what is left, from top to bottom. Spacing is that of a voxel in µm
    as (Z, Y, X).
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
