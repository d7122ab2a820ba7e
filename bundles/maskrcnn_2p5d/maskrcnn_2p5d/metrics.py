"""F1 of the masks in the slices of volumes, as a MONAI metric."""

import numpy as np

from .common.metrics.pooled import PooledMetric
from .common.metrics.ratios import f1_ratio

__all__ = ["SliceF1Metric"]


class SliceF1Metric(PooledMetric):
    """F1 of masks in slices, where a pair needs an IoU above 0.5, counted over all slices of all volumes.

    Call it with label volumes (N, 1, X, Y, Z), or lists of (1, X, Y, Z), of integers at least 0. NaN where there is no
    object in either.

    Parameters
    ----------
    slice_axis : int
        Axis of the slices; the last one in volumes as they are loaded.
    """

    def __init__(self, slice_axis: int = -1) -> None:
        super().__init__(self._ratio)
        self.slice_axis = slice_axis

    def _ratio(self, result: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
        if result.shape != truth.shape or result.ndim != 4 or len(result) != 1:
            raise ValueError(f"y_pred {result.shape}, y {truth.shape}: expected label images of one shape (1, X, Y, Z)")
        slices = (np.ascontiguousarray(np.moveaxis(volume[0], self.slice_axis, 0)) for volume in (result, truth))
        above, below = np.sum([f1_ratio(*pair) for pair in zip(*slices, strict=True)], axis=0).tolist()
        return above, below
