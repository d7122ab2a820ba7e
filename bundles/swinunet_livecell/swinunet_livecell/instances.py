"""Single cells out of a mask in which they touch."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

__all__ = ["split_cells"]

SMOOTHING_PX = 1.0
EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


def split_cells(
    probability: np.ndarray,
    threshold: float = 0.5,
    min_area: float = 30,
    min_distance: float = 10,
    min_depth: float = 2,
) -> np.ndarray:
    """Cut a mask into cells where it is narrow: a watershed of the distance to the background.

    Every maximum of the distance is a cell, unless a way leads from it to a higher one on which the distance never
    falls by ``min_depth``; without this condition long and ragged cells fall to pieces.

    Parameters
    ----------
    probability : ndarray of float or bool, shape (Y, X)
        Probability of cells, or a mask.
    threshold : float
        Cells are where the probability is at least this; without effect on a mask.
    min_area : float
        Smaller cells are dropped, in pixels.
    min_distance : float
        The centres of cells in one piece of the mask are farther apart than this, in pixels.
    min_depth : float
        How much narrower a neck is on each side than the smaller of the cells that it joins, in pixels.

    Returns
    -------
    ndarray of int32, shape (Y, X)
        0 is background, 1 to n are cells; all 0 if there is none.
    """
    mask = np.ascontiguousarray(probability if probability.dtype == bool else probability >= threshold)
    parts, num_parts = ndimage.label(mask)
    distance = np.zeros(mask.shape) if mask.all() else ndimage.distance_transform_edt(mask)
    distance = ndimage.gaussian_filter(distance, SMOOTHING_PX) * mask
    centres = _find_centres(distance, parts, min_distance, min_depth)
    # scikit-image's watershed gives Fortran-ordered markers back unflooded, so they are made C-ordered here
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(centres.T)] = np.arange(1, len(centres) + 1)
    cells = watershed(-distance, markers, mask=mask) if len(centres) else markers
    left_over = mask & (cells == 0)  # parts too thin to hold a centre are one cell each
    cells[left_over] = len(centres) + parts[left_over]
    return _without_small(cells, len(centres) + num_parts, min_area)


def _find_centres(distance: np.ndarray, parts: np.ndarray, min_distance: float, min_depth: float) -> np.ndarray:
    """Row and column of the highest pixel of every maximum that is deep enough, shape (n, 2)."""
    levelled = reconstruction((distance - min_depth).clip(0), distance)
    maxima, num_maxima = ndimage.label(local_maxima(levelled), EIGHT_NEIGHBOURS)
    if not num_maxima:
        return np.zeros((0, 2), int)
    highest = np.array(ndimage.maximum_position(distance, maxima, np.arange(1, num_maxima + 1)))
    heights = np.zeros_like(distance)
    heights[tuple(highest.T)] = distance[tuple(highest.T)]
    radius = max(1, round(min_distance))
    return peak_local_max(heights, min_distance=radius, exclude_border=False, labels=parts, p_norm=2)


def _without_small(cells: np.ndarray, num_cells: int, min_area: float) -> np.ndarray:
    """Cells of at least that many pixels, numbered without gaps."""
    areas = np.bincount(cells.ravel(), minlength=num_cells + 1)
    kept = areas >= max(min_area, 1)
    kept[0] = False
    return np.where(kept, np.cumsum(kept), 0).astype(np.int32)[cells]
