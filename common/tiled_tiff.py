"""Tiled TIFF files, written one row of tiles at a time."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

__all__ = ["TILE", "write_tiled"]

TILE = 512
CLASSIC_BYTES = 3 << 30  # larger images go to BigTIFF: offsets of a classic TIFF end at 4 GiB


def write_tiled(
    path: Path,
    read_rows: Callable[[int, int], np.ndarray],
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    *,
    description: str = "",
    pixel_size_um: float | None = None,
) -> None:
    """Write an image as deflated tiles of 512 x 512.

    Parameters
    ----------
    path : Path
        File to write; a name beside the final one where an interrupted run should leave no half file.
    read_rows : callable
        Takes the first row and the one behind the last; returns these rows.
    shape : tuple of int
        (Y, X) or (Y, X, 3).
    dtype : data type
        What to write.
    description : str
        Text for the description tag, ASCII.
    pixel_size_um : float, optional
        For the resolution tags.
    """
    resolution: dict[str, Any] = {}
    if pixel_size_um is not None:
        resolution = {"resolution": (1e4 / pixel_size_um,) * 2, "resolutionunit": 3}
    tifffile.imwrite(
        path,
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
        **resolution,
    )


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
