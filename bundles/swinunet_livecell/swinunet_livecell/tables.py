"""Place, size, shape and gray value of every cell, a line each, and of all in an image."""

import math

import numpy as np
from skimage.measure import regionprops
from skimage.segmentation import expand_labels

from .common.labels.ellipses import ellipse_of

__all__ = ["COLUMNS", "SUMMARY_COLUMNS", "UM_COLUMNS", "count_neighbours", "measure_cells", "summarize"]

SUMMARY_COLUMNS = ("image", "cells", "confluence", "mean_area", "mean_area_um2")
COLUMNS = (
    *("cell", "y", "x", "area", "major_axis", "minor_axis", "orientation", "mean", "neighbours", "touches_edge"),
    "score",
)
UM_COLUMNS = ("area_um2", "major_axis_um", "minor_axis_um")
# cells whose outlines come as near as that, in pixels, are neighbours: a watershed leaves none between two that touch
NEAR = 4


def measure_cells(
    cells: np.ndarray, image: np.ndarray, scores: np.ndarray, pixel_um: float | None = None
) -> list[tuple[float, ...]]:
    """Place, size and shape of every cell.

    Parameters
    ----------
    cells : ndarray of int, shape (Y, X)
        0 is background, 1 to n are cells.
    image : ndarray of float, shape (Y, X)
        Gray values as they are in the file.
    scores : ndarray of float, shape (n,)
        How sure each is a cell.
    pixel_um : float, optional
        Side of a pixel in micrometres.

    Returns
    -------
    list of tuple
        A row of `COLUMNS` for each cell: number; centroid in pixels, where the centre of the first pixel is 0; area;
        axes of the ellipse with the same second moments; direction of its major axis in degrees, from 0 to below 180,
        from the x axis counter-clockwise as one sees it on the screen; mean gray value; number of cells beside it; 1 if
        it touches the edge of the image, so that its size is not known; score. With the size of a pixel those of
        `UM_COLUMNS` follow.
    """
    height, width = cells.shape
    neighbours = count_neighbours(cells)
    rows = []
    for region in regionprops(cells, image):
        top, left, bottom, right = region.bbox
        major, minor, orientation = ellipse_of(region)
        row: tuple[float, ...] = (
            int(region.label),
            *map(float, region.centroid),
            int(region.area),
            *(major, minor, orientation),
            float(region.intensity_mean),
            int(neighbours[region.label]),
            int(top == 0 or left == 0 or bottom == height or right == width),
            float(scores[region.label - 1]),
        )
        if pixel_um is not None:
            row += (int(region.area) * pixel_um**2, major * pixel_um, minor * pixel_um)
        rows.append(row)
    return rows


def count_neighbours(cells: np.ndarray) -> np.ndarray:
    """Number of other cells that lie within `NEAR` pixels of each.

    Parameters
    ----------
    cells : ndarray of int, shape (Y, X)
        0 is background, 1 to n are cells.

    Returns
    -------
    ndarray of int, shape (n + 1,)
        Of cell i at index i; 0 of the background.
    """
    grown = expand_labels(cells, NEAR / 2)
    sides = [(grown[:-1], grown[1:]), (grown[:, :-1], grown[:, 1:])]
    pairs = np.concatenate([np.stack([first.ravel(), second.ravel()], 1) for first, second in sides])
    pairs = np.unique(np.sort(pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs > 0).all(1)], axis=1), axis=0)
    return np.bincount(pairs.ravel(), minlength=int(cells.max(initial=0)) + 1)


def summarize(
    name: str, cells: np.ndarray, mask: np.ndarray, pixel_um: float | None = None
) -> tuple[str, int, float, float, float]:
    """Row of `SUMMARY_COLUMNS`: number of cells, confluence, and mean area of the cells in pixels and in µm².

    Parameters
    ----------
    name : str
        The image's.
    cells : ndarray of int, shape (Y, X)
        0 is background, 1 to n are cells.
    mask : ndarray of bool, shape (Y, X)
        What counts as covered; the confluence is its part of the image.
    pixel_um : float, optional
        Side of a pixel in micrometres; the last value is NaN without it.
    """
    num_cells = int(cells.max(initial=0))
    mean_area = np.count_nonzero(cells) / num_cells if num_cells else math.nan
    return name, num_cells, float(mask.mean()), mean_area, mean_area * (math.nan if pixel_um is None else pixel_um**2)
