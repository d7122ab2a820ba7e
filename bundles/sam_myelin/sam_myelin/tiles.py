"""Large images in overlapping tiles of one size."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .common.errors import InputError

__all__ = ["Tile", "choose_tile_px", "cut_tiles", "tile_of_boxes", "tile_side"]

AUTO = "auto"
# a pixel of the network's input: at most this, so that a thin sheath is several cells of the logits thick
MAX_INPUT_PIXEL_UM = 0.025
# and at least this, so that a thick fibre fits into a tile
MIN_INPUT_PIXEL_UM = 0.0044
SMALLEST_PIXEL_UM = 1e-6  # a picture of smaller ones is no picture of a nerve, and has no tile
MAX_MAGNIFICATION = 4.0  # more shows no more


class Tile(NamedTuple):
    """What a tile shows, halo included, and the part of it that is its own: pixels (top, left, bottom, right)."""

    outer: tuple[int, int, int, int]
    core: tuple[int, int, int, int]

    @property
    def slices(self) -> tuple[slice, slice]:
        """To cut what it shows out of an image (Y, X)."""
        top, left, bottom, right = self.outer
        return slice(top, bottom), slice(left, right)


def choose_tile_px(pixel_size_um: float | None, image_size: int) -> int:
    """Side of the tiles that show fibres to the network at a size it can draw.

    Parameters
    ----------
    pixel_size_um : float, optional
        Side of the image's pixels; without it tiles are neither magnified nor shrunk.
    image_size : int
        Side of the network's input in pixels, to which a tile is resized.

    Returns
    -------
    int
        ``image_size``, divided by 1 to 4 for images with large pixels and multiplied for those with tiny ones.

    Raises
    ------
    InputError
        If the size of pixels is not positive.
    """
    if pixel_size_um is None:
        return image_size
    if not SMALLEST_PIXEL_UM <= pixel_size_um < np.inf:
        raise InputError(f"--pixel_size_um {pixel_size_um}: expected a positive number of µm; correct it, or give none")
    if pixel_size_um < MIN_INPUT_PIXEL_UM:
        magnification = pixel_size_um / MIN_INPUT_PIXEL_UM
    else:
        magnification = min(max(pixel_size_um / MAX_INPUT_PIXEL_UM, 1.0), MAX_MAGNIFICATION)
    return round(image_size / magnification)


def tile_side(tile_px: int | str, pixel_size_um: float | None, image_size: int) -> int:
    """What a user asked for as the side of tiles, or, of ``auto``, what `choose_tile_px` makes of it.

    Parameters
    ----------
    tile_px : int or "auto"
    pixel_size_um : float, optional
        Side of the image's pixels; unknown may be NaN too, as it is in metadata.
    image_size : int
        Side of the network's input in pixels.

    Raises
    ------
    InputError
        If it is neither a positive whole number nor ``auto``.
    """
    if tile_px == AUTO:
        if pixel_size_um is None or math.isnan(pixel_size_um):
            return choose_tile_px(None, image_size)
        return choose_tile_px(float(pixel_size_um), image_size)
    if isinstance(tile_px, (str, bool)) or tile_px < 1 or tile_px != int(tile_px):
        raise InputError(f"--tile_px {tile_px}: expected a positive whole number of pixels, or {AUTO}")
    return int(tile_px)


def cut_tiles(shape: Sequence[int], *, tile_px: int, halo_px: int) -> list[Tile]:
    """Tiles that cover an image; every pixel is in the core of exactly one.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) of the image.
    tile_px : int
        Side of a tile, halo included. The last tiles are moved inwards, so that all have this size; a side of the
        image that is shorter is not cut.
    halo_px : int
        How far a tile at least reaches over its core, except at the image's border. Half of the largest fibre or more.

    Returns
    -------
    list of Tile
        By rows.

    Raises
    ------
    InputError
        If the halo leaves no core.
    """
    if halo_px < 0 or 2 * halo_px >= tile_px:
        raise InputError(f"--halo_px {halo_px}: tiles of {tile_px} pixels keep no core; give 0 to {(tile_px - 1) // 2}")
    rows, columns = (_cut(length, tile_px, halo_px) for length in shape)
    return [
        Tile((top, left, bottom, right), (core_top, core_left, core_bottom, core_right))
        for top, bottom, core_top, core_bottom in rows
        for left, right, core_left, core_right in columns
    ]


def tile_of_boxes(boxes: np.ndarray, tiles: list[Tile]) -> np.ndarray:
    """Index of the tile that shows most of each box, and among those the one in whose middle it lies.

    Parameters
    ----------
    boxes : ndarray of number, shape (n, 4)
        First and last pixel inside, (x, y, x, y); of a point, give it twice.
    tiles : list of Tile

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    windows = np.array([tile.outer for tile in tiles])
    top, left, bottom, right = windows.T[:, None, :]
    x_min, y_min, x_max, y_max = np.asarray(boxes, float).reshape(-1, 4).T[:, :, None]
    height = (np.minimum(y_max + 1, bottom) - np.maximum(y_min, top)).clip(0)
    width = (np.minimum(x_max + 1, right) - np.maximum(x_min, left)).clip(0)
    hidden = 1 - height * width / ((y_max - y_min + 1) * (x_max - x_min + 1))
    off_centre = np.hypot(y_min + y_max + 1 - top - bottom, x_min + x_max + 1 - left - right)
    order = np.lexsort((off_centre, hidden.round(6)), axis=1)
    return order[:, 0]


def _cut(length: int, tile: int, halo: int) -> list[tuple[int, int, int, int]]:
    """First and last + 1 pixel of tiles and cores along one side."""
    if length <= tile:
        return [(0, length, 0, length)]
    step = tile - 2 * halo
    num_tiles = 1 + -(-(length - tile) // step)
    starts = [min(index * step, length - tile) for index in range(num_tiles)]
    borders = [0, *(start + tile - halo for start in starts[:-1]), length]
    return [
        (start, start + tile, first, last) for start, first, last in zip(starts, borders[:-1], borders[1:], strict=True)
    ]
