"""Single cells from what the network predicts for every pixel."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type, convert_to_numpy
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

__all__ = ["FindCellsd", "find_cells", "how_sure"]

EIGHT_NEIGHBOURS = np.ones((3, 3), bool)
SMOOTHING_PX = 1.0


def find_cells(
    probability: np.ndarray, threshold: float = 0.5, min_area: float = 30, min_dip: float = 0.1
) -> np.ndarray:
    """Cut the mask of cells where their depth dips: a watershed from the summits of the depth.

    A cell is deepest in its middle, at 1, whatever its size, and borders between cells are told apart from them; so a
    summit of the depth, less the border, is a cell, unless a way leads from it to a higher one on which it never falls
    by ``min_dip``. What a cell stretches out stays with it; a part of the mask without a summit is a cell of its own.

    Parameters
    ----------
    probability : ndarray of float, shape (3, Y, X)
        Of cell, depth and border, from 0 to 1: see `targets.cell_targets`.
    threshold : float
        Cells are where their probability is at least this.
    min_area : float
        Smaller cells are dropped, in pixels.
    min_dip : float
        Larger ones separate less.

    Returns
    -------
    ndarray of int32, shape (Y, X)
        0 is background, 1 to n are cells.
    """
    mask = probability[0] >= threshold
    parts, num_parts = ndimage.label(mask)
    height = ndimage.gaussian_filter(probability[1] * (1 - probability[2]), SMOOTHING_PX).clip(0, 1) * mask
    levelled = reconstruction((height - min_dip).clip(0), height)
    # scikit-image's watershed gives Fortran-ordered markers back unflooded, so they are made C-ordered here
    markers = np.zeros(mask.shape, np.int32)
    num_markers = ndimage.label(local_maxima(levelled) & mask, EIGHT_NEIGHBOURS, output=markers)
    cells = watershed(-height, markers, mask=mask) if num_markers else markers
    left_over = mask & (cells == 0)
    cells[left_over] = num_markers + parts[left_over]
    return _without_small(cells, num_markers + num_parts, min_area)


def how_sure(probability: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """How sure each cell is one, float64 (n,) from 0 to 1 in the order of their numbers.

    The mean probability of its pixels times its largest depth: what is torn off a cell, or seen of one only in part,
    has no summit of 1.
    """
    numbers = np.arange(1, cells.max(initial=0) + 1)
    mean, depth = ndimage.mean(probability[0], cells, numbers), ndimage.maximum(probability[1], cells, numbers)
    return (np.asarray(mean, float) * np.asarray(depth, float)).reshape(-1)


class FindCellsd(MapTransform):
    """Adds the cells that `find_cells` finds, int32 (1, Y, X), and how sure they are.

    Parameters
    ----------
    keys : collection of str
        Probabilities (3, Y, X), as `find_cells` takes them.
    threshold, min_area, min_dip
        As for `find_cells`.
    cells_key, scores_key : str
        What is added.
    """

    def __init__(
        self,
        keys: KeysCollection,
        threshold: float = 0.5,
        min_area: float = 30,
        min_dip: float = 0.1,
        cells_key: str = "cells",
        scores_key: str = "scores",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.threshold, self.min_area, self.min_dip = threshold, min_area, min_dip
        self.cells_key, self.scores_key = cells_key, scores_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        for key in self.key_iterator(data):
            probability = convert_to_numpy(data[key])
            cells = find_cells(probability, self.threshold, self.min_area, self.min_dip)
            data[self.cells_key] = convert_to_dst_type(cells[None], data[key], dtype=torch.int32)[0]
            data[self.scores_key] = torch.from_numpy(how_sure(probability, cells))
        return data


def _without_small(cells: np.ndarray, num_cells: int, min_area: float) -> np.ndarray:
    """Cells of at least that many pixels, numbered without gaps."""
    areas = np.bincount(cells.ravel(), minlength=num_cells + 1)
    kept = areas >= max(min_area, 1)
    kept[0] = False
    return np.where(kept, np.cumsum(kept), 0).astype(np.int32)[cells]
