"""Place, size, shape and gray value of every cell, a line each, and of all in an image."""

from __future__ import annotations

import math

import numpy as np
from skimage.measure import regionprops

from .common.labels.ellipses import ellipse_of

__all__ = ["COLUMNS", "SUMMARY_COLUMNS", "measure_cells", "summarize"]

SUMMARY_COLUMNS = ("image", "cells", "confluence", "mean_area")
COLUMNS = ("cell", "y", "x", "area", "major_axis", "minor_axis", "orientation", "mean", "touches_edge", "score")


def measure_cells(cells: np.ndarray, image: np.ndarray, scores: np.ndarray) -> list[tuple[float, ...]]:
    """Place, size and shape of every cell.

    Parameters
    ----------
    cells : ndarray of int, shape (Y, X)
        0 is background, 1 to n are cells.
    image : ndarray of float, shape (Y, X)
        Gray values as they are in the file.
    scores : ndarray of float, shape (n,)
        How sure each is a cell.

    Returns
    -------
    list of tuple
        A row of `COLUMNS` for each cell: number; centroid in pixels, where the centre of the first pixel is 0; area;
        axes of the ellipse with the same second moments; direction of its major axis in degrees, from 0 to below 180,
        from the x axis counter-clockwise as one sees it on the screen; mean gray value; 1 if it touches the edge of the
        image, so that its size is not known; score.
    """
    height, width = cells.shape
    rows = []
    for region in regionprops(cells, image):
        top, left, bottom, right = region.bbox
        rows.append(
            (
                int(region.label),
                *map(float, region.centroid),
                int(region.area),
                *ellipse_of(region),
                float(region.intensity_mean),
                int(top == 0 or left == 0 or bottom == height or right == width),
                float(scores[region.label - 1]),
            )
        )
    return rows


def summarize(name: str, cells: np.ndarray, mask: np.ndarray) -> tuple[str, int, float, float]:
    """Row of `SUMMARY_COLUMNS`: number of cells, confluence, and mean area of the cells in pixels.

    Parameters
    ----------
    name : str
        The image's.
    cells : ndarray of int, shape (Y, X)
        0 is background, 1 to n are cells.
    mask : ndarray of bool, shape (Y, X)
        What counts as covered; the confluence is its part of the image.
    """
    num_cells = int(cells.max(initial=0))
    mean_area = np.count_nonzero(cells) / num_cells if num_cells else math.nan
    return name, num_cells, float(mask.mean()), mean_area
