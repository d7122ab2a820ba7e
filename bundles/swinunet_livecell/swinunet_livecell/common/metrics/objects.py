"""Scores of label images as MONAI metrics."""

from typing import ClassVar

import numpy as np

from .pooled import PooledMetric
from .ratios import ap_ratio, count_error_ratio, f1_ratio, iou_ratio, mucov_ratio, seg_ratio

__all__ = ["ObjectMetric"]


class ObjectMetric(PooledMetric):
    """A score of label images (N, 1, [Z,] Y, X), or lists of (1, [Z,] Y, X), of integers at least 0.

    Read the labels with an integer ``dtype``, not as MONAI's default of float32.

    Parameters
    ----------
    kind : {"seg", "seg_per_image", "mucov", "f1", "ap", "iou", "count_error"}
        ``seg``: of the Cell Tracking Challenge [1]_, the mean over the objects of all images. ``seg_per_image``: the
        mean over images of the same. Both NaN where the truth has no object. ``mucov``: mean unweighted coverage of
        QCANet [2]_, how well the objects that were found fit true ones, the mean over images; 0 where none was found,
        NaN where none is there, either. ``f1``: of objects that are matched at an IoU above 0.5, counted over all
        images; NaN where neither has an object. ``ap``: TP / (TP + FP + FN), the mean over IoUs of 0.5, 0.55, ... 0.9
        [3]_, the mean over images. ``iou``: of the foreground, 1 where both are empty, the mean over images.
        ``count_error``: difference in number, the mean over images.

    Raises
    ------
    ValueError
        If the kind is another one; from a call, if the shapes differ, there are several channels, or the labels are
        not integers of at least 0.

    References
    ----------
    .. [1] Maška et al. (2014), doi:10.1093/bioinformatics/btu080
    .. [2] Tokuoka et al. (2020), doi:10.1038/s41540-020-00152-8
    .. [3] Caicedo et al. (2019), doi:10.1038/s41592-019-0612-7
    """

    RATIOS: ClassVar = {
        "seg": seg_ratio,
        "seg_per_image": seg_ratio,
        "mucov": mucov_ratio,
        "f1": f1_ratio,
        "ap": ap_ratio,
        "iou": iou_ratio,
        "count_error": count_error_ratio,
    }

    def __init__(self, kind: str) -> None:
        if kind not in self.RATIOS:
            raise ValueError(f"kind is {kind!r}, expected one of {', '.join(self.RATIOS)}")
        self.kind = kind
        super().__init__(self._ratio, pooled=kind in ("seg", "f1"), of_nothing=1.0 if kind == "iou" else np.nan)

    def _ratio(self, result: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
        if result.shape != truth.shape or result.ndim < 2 or len(result) != 1:
            raise ValueError(
                f"y_pred {result.shape}, y {truth.shape}: expected label images of one shape (1, [Z,] Y, X)"
            )
        return self.RATIOS[self.kind](result[0], truth[0])
