"""Scores of whole slides as MONAI metrics: F1 of objects, Dice and IoU on patches."""

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from .common.metrics.pooled import PooledMetric
from .common.metrics.ratios import f1_ratio
from .patch_scores import patch_dice_iou

__all__ = ["ObjectF1Metric", "PatchMetric"]

EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


class ObjectF1Metric(PooledMetric):
    """F1 of objects; `aggregate` pools the objects of all slides, the buffer holds one F1 per slide.

    ``y_pred`` are masks, (B, 1, Y, X) or a list of (1, Y, X), whose 8-connected components are the predicted objects;
    ``y`` are label images of the same shape, read with an integer ``dtype``. A slide without any object in either has
    F1 NaN and adds nothing to the pool.

    Parameters
    ----------
    min_iou : float
        An object is found if its IoU with one of the truth is above this; from 0.5 to below 1.
    """

    def __init__(self, min_iou: float = 0.5) -> None:
        super().__init__(self._ratio)
        self.min_iou = min_iou

    def _ratio(self, mask: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
        _check_shapes(mask, truth)
        components = np.empty(mask[0].shape, np.int32)
        ndimage.label(mask[0], EIGHT_NEIGHBOURS, output=components)
        return f1_ratio(components, truth[0], self.min_iou)


class PatchMetric(PooledMetric):
    """Dice or IoU of patches; `aggregate` is the mean over all patches, the buffer holds one mean per slide.

    Call it with a list of masks (1, Y, X) and, for each, a mapping with ``label`` (1, Y, X), where everything but 0 is
    foreground, ``patches`` (n, 2), y and x of the patches' top left pixels, and ``patch_size`` in pixels. A patch
    without foreground in either scores 1. A slide without patches has the score NaN.

    Parameters
    ----------
    kind : str
        ``dice`` or ``iou``.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(self._ratio)
        if kind not in ("dice", "iou"):
            raise ValueError(f"kind {kind!r}: expected 'dice' or 'iou'")
        self.kind = kind

    def _ratio(self, mask: np.ndarray, item: Mapping[str, np.ndarray]) -> tuple[float, float]:
        if not isinstance(item, Mapping):
            raise ValueError("patches are known per slide: call the metric with a list of masks and a list of mappings")
        _check_shapes(mask, item["label"])
        dice, iou = patch_dice_iou(mask[0], item["label"][0], item["patches"], int(item["patch_size"]))
        scores = dice if self.kind == "dice" else iou
        return float(scores.sum()), scores.size


def _check_shapes(mask: np.ndarray, truth: np.ndarray) -> None:
    if mask.shape != truth.shape or mask.ndim != 3 or len(mask) != 1:
        raise ValueError(
            f"y_pred {mask.shape}, y {truth.shape}: expected masks and label images of one shape (1, Y, X)"
        )
