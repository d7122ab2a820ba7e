"""Pictures to judge labels by: outlines of objects, and pictures beside each other."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_dilation
from skimage.measure import block_reduce
from skimage.segmentation import find_boundaries

__all__ = ["draw_outlines", "find_outlines", "side_by_side"]

Colour = tuple[int, int, int]


def find_outlines(labels: np.ndarray, *, thickness: int = 1, factor: int = 1) -> np.ndarray:
    """Outermost pixels of every object.

    Parameters
    ----------
    labels : ndarray of int or bool, shape (Y, X)
        0 is background.
    thickness : int
        In pixels; more than 1 grows beyond the objects.
    factor : int
        For a picture that is smaller by this whole factor: a pixel of it is drawn where any of its pixels is, so that
        no object is too small for its outline.

    Returns
    -------
    ndarray of bool, shape (Y / factor, X / factor), rounded up
    """
    found = find_boundaries(labels.astype(int) if labels.dtype == bool else labels, mode="inner")
    if thickness > 1:
        found = binary_dilation(found, iterations=thickness - 1)
    return block_reduce(found, factor, np.max) if factor > 1 else found


def draw_outlines(
    picture: np.ndarray, *layers: tuple[np.ndarray, Colour], thickness: int = 1, factor: int = 1
) -> np.ndarray:
    """A picture with the outlines of objects.

    Parameters
    ----------
    picture : ndarray of uint8, shape (Y, X, 3)
        Red, green, blue.
    *layers : tuple of (ndarray, colour)
        Label images and their colours, a later one over the earlier ones.
    thickness, factor : int
        As for `find_outlines`.

    Returns
    -------
    ndarray of uint8, shape (Y, X, 3)
    """
    drawn = picture.copy()
    for labels, colour in layers:
        drawn[find_outlines(labels, thickness=thickness, factor=factor)] = colour
    return drawn


def side_by_side(pictures: Sequence[np.ndarray], gap_px: int, *, axis: int = 1) -> np.ndarray:
    """Pictures (Y, X, 3) of one size in a row (axis 1) or a column (axis 0), with white between them."""
    height, width = pictures[0].shape[:2]
    gap = np.full((height, gap_px, 3) if axis else (gap_px, width, 3), 255, np.uint8)
    return np.concatenate([piece for picture in pictures for piece in (picture, gap)][:-1], axis=axis)
