"""A slide too large to be drawn at once: a smaller one, repeated while it is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.tiled_tiff import write_tiled
from tools.sample.tissue import PIXEL_SIZE_UM, draw_slide

__all__ = ["write_large_slide"]


def write_large_slide(path: Path, size: int, *, drawn_size: int = 2500) -> None:
    """Write a square slide of drawn tissue; only a row of its tiles is in memory.

    Parameters
    ----------
    path : Path
        Tiled TIFF file to write.
    size : int
        Height and width in pixels.
    drawn_size : int
        Height and width of the part that is drawn and repeated.
    """
    drawn, _ = draw_slide(np.random.default_rng(0), drawn_size, 0)
    columns = np.arange(size) % drawn_size

    def rows(top: int, bottom: int) -> np.ndarray:
        return drawn[np.arange(top, bottom) % drawn_size][:, columns]

    write_tiled(path, rows, (size, size, 3), np.uint8, pixel_size_um=PIXEL_SIZE_UM)
