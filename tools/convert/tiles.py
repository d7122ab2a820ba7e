"""Tiled TIFF files, written one row of tiles at a time, and kept by a second run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile

from tools.atomic import replacing
from tools.convert.windows import TiffWindows

__all__ = ["TILE", "is_whole_tiff", "write_tiled"]

TILE = 512
CLASSIC_BYTES = 3 << 30  # larger images go to BigTIFF: offsets of a classic TIFF end at 4 GiB


def write_tiled(
    path: Path,
    read_rows: Callable[[int, int], np.ndarray],
    shape: tuple[int, ...],
    dtype: np.dtype,
    *,
    description: str = "",
    pixel_size_um: float | None = None,
) -> None:
    """Write an image as deflated tiles of 512 x 512, under a temporary name that is then renamed.

    Parameters
    ----------
    path : Path
        File to write or replace.
    read_rows : callable
        Takes the first row and the one behind the last; returns these rows.
    shape : tuple of int
        (Y, X) or (Y, X, 3).
    dtype : numpy.dtype
        What to write.
    description : str
        Text for the description tag, ASCII.
    pixel_size_um : float, optional
        For the resolution tags.
    """
    options = {} if pixel_size_um is None else {"resolution": (1e4 / pixel_size_um,) * 2, "resolutionunit": 3}
    with replacing(path) as partial:
        tifffile.imwrite(
            partial,
            _tiles(read_rows, shape, np.dtype(dtype)),
            shape=shape,
            dtype=dtype,
            bigtiff=int(np.prod(shape)) * np.dtype(dtype).itemsize > CLASSIC_BYTES,
            photometric="rgb" if len(shape) == 3 else "minisblack",
            tile=(TILE, TILE),
            compression="zlib",
            predictor=len(shape) == 3,
            description=description,
            metadata=None,
            software=False,
            maxworkers=1,
            **options,
        )


def is_whole_tiff(path: Path, shape: tuple[int, ...], *, description: str) -> bool:
    """Whether `write_tiled` has finished writing this very image; no pixel is decoded.

    Parameters
    ----------
    path : Path
        File that may not exist.
    shape : tuple of int
        Expected shape.
    description : str
        Expected text in the description tag.

    Returns
    -------
    bool
        False if the file is missing, truncated, or a different image.
    """
    try:
        with TiffWindows(path) as image:
            return image.shape == tuple(shape) and image.description == description
    except (ValueError, OSError):
        return False


def _tiles(
    read_rows: Callable[[int, int], np.ndarray], shape: tuple[int, ...], dtype: np.dtype
) -> Iterator[np.ndarray]:
    """Tiles by rows; those at the right and lower border are filled up with zeros."""
    for top in range(0, shape[0], TILE):
        rows = read_rows(top, min(top + TILE, shape[0]))
        for left in range(0, shape[1], TILE):
            tile = np.zeros((TILE, TILE, *shape[2:]), dtype)
            part = rows[:, left : left + TILE]
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile
