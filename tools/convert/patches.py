"""Where to cut patches out of a slide: a grid to the last row and column, without glass and missing regions."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["PatchRules", "corners", "index_patches"]


@dataclass(frozen=True)
class PatchRules:
    """The grid of patches, and which of them to drop.

    Attributes
    ----------
    patch_size, stride : int
        In pixels, along both axes.
    black_level, white_level : int
        A pixel is black if no channel is above, white if none is below.
    black_share, white_share : float
        Part of a patch's pixels from which on it is dropped; above 1 for never.
    """

    patch_size: int = 512
    stride: int = 256
    black_level: int = 60
    black_share: float = 0.30
    white_level: int = 220
    white_share: float = 0.65


def corners(length: int, patch_size: int, stride: int) -> np.ndarray:
    """Where patches start along one axis; the last one ends with the image.

    Parameters
    ----------
    length : int
        Of the image, in pixels.
    patch_size, stride : int
        In pixels.

    Returns
    -------
    ndarray of int64, shape (n,)
        Ascending; 0 alone where the image is not longer than a patch.
    """
    last = max(length - patch_size, 0)
    return np.unique(np.append(np.arange(0, last, stride), last))


def index_patches(
    read_rows: Callable[[int, int], np.ndarray], shape: tuple[int, int], mask: np.ndarray | None, rules: PatchRules
) -> np.ndarray:
    """Patches worth keeping, with a flag for those that hold an annotation.

    Parameters
    ----------
    read_rows : callable
        Takes the first row and the one behind the last; returns these rows, uint8 (rows, X, 3).
    shape : tuple of int
        Shape (Y, X) of the image.
    mask : ndarray of int or bool, shape (Y, X), optional
        Annotated where it is not 0; without one nothing is.
    rules : PatchRules
        Grid and thresholds. Shares are of the patch's pixels inside the image.

    Returns
    -------
    ndarray of int64, shape (n, 3)
        y and x of the top left corner, annotated (0 or 1); by rows.
    """
    y, x = (corners(length, rules.patch_size, rules.stride) for length in shape)
    y_end, x_end = (np.minimum(c + rules.patch_size, n) for c, n in zip((y, x), shape, strict=True))
    rows, columns = np.unique([y, y_end]), np.unique([x, x_end])
    counts = np.zeros((3, len(rows), len(columns)), np.int64)
    for index, (top, bottom) in enumerate(itertools.pairwise(rows), start=1):
        counts[:, index, 1:] = _counts(
            read_rows(top, bottom), None if mask is None else mask[top:bottom], columns, rules
        )
    sums = counts.cumsum(axis=1).cumsum(axis=2)  # pixels above and left of every crossing of patch borders
    top, bottom, left, right = (
        np.searchsorted(*pair) for pair in ((rows, y), (rows, y_end), (columns, x), (columns, x_end))
    )
    black, white, annotated = (
        s[np.ix_(bottom, right)] - s[np.ix_(top, right)] - s[np.ix_(bottom, left)] + s[np.ix_(top, left)] for s in sums
    )
    num_pixels = np.outer(y_end - y, x_end - x)
    kept = (black < rules.black_share * num_pixels) & (white < rules.white_share * num_pixels)
    at_y, at_x = np.nonzero(kept)
    return np.column_stack([y[at_y], x[at_x], annotated[kept] > 0]).astype(np.int64)


def _counts(pixels: np.ndarray, mask: np.ndarray | None, columns: np.ndarray, rules: PatchRules) -> np.ndarray:
    """Number of black, white and annotated pixels of some rows between the given columns, shape (3, columns - 1)."""
    red, green, blue = np.moveaxis(pixels, -1, 0)
    brightest, darkest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    kinds = [brightest <= rules.black_level, darkest >= rules.white_level]
    kinds.append(np.zeros_like(kinds[0]) if mask is None else mask != 0)
    return np.array([np.add.reduceat(kind.sum(axis=0, dtype=np.int64), columns[:-1]) for kind in kinds])
