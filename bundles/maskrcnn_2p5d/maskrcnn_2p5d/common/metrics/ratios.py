"""Scores of images as ratios: numerator and denominator, which add up over images."""

import numpy as np

from ..labels.objects import match_objects
from ..labels.seg import count_overlaps, match
from ..labels.sweep import THRESHOLDS, count_matches

__all__ = ["ap_ratio", "count_error_ratio", "dice_ratio", "f1_ratio", "iou_ratio", "mucov_ratio", "seg_ratio"]


def seg_ratio(result: np.ndarray, truth: np.ndarray) -> tuple[float, int]:
    """Summed IoU of the objects of the truth, 0 for those that are not matched, and their number: see `labels.seg`."""
    ious = match(count_overlaps(truth, result)).ious
    return float(ious.sum()), ious.size


def mucov_ratio(result: np.ndarray, truth: np.ndarray) -> tuple[float, int]:
    """Summed IoU of each object of the result with the object of the truth that fits it best, and their number.

    SEG asks how well each true object was found, this how well each found object is true: it falls with false ones.
    Where nothing was found of what is there, it counts as one object that fits none.

    References
    ----------
    .. [1] Tokuoka et al. (2020), doi:10.1038/s41540-020-00152-8: mean unweighted coverage
    """
    overlaps = count_overlaps(truth, result)
    best = np.zeros(len(overlaps.result_labels))
    np.maximum.at(best, overlaps.results, overlaps.ious)
    return float(best.sum()), max(best.size, min(1, len(overlaps.reference_labels)))


def f1_ratio(result: np.ndarray, truth: np.ndarray, min_iou: float = 0.5) -> tuple[int, int]:
    """Objects that are matched at an IoU above ``min_iou``, and all objects, of both label images."""
    num_pairs, num_found, num_true = match_objects(result, truth, min_iou)
    return 2 * num_pairs, num_found + num_true


def ap_ratio(result: np.ndarray, truth: np.ndarray, last_iou: float = 0.9) -> tuple[float, int]:
    """Mean of TP / (TP + FP + FN) over IoUs of 0.5, 0.55, ... to the last, and 1; 0, 0 without any object.

    What papers on nuclei call average precision since the Data Science Bowl, not COCO's, which ranks by score.

    References
    ----------
    .. [1] Caicedo et al. (2019), doi:10.1038/s41592-019-0612-7
    .. [2] Weigert et al. (2020), "Star-convex polyhedra for 3D object detection and segmentation in microscopy"
    """
    sweep = count_matches(count_overlaps(truth, result))
    if sweep.num_reference + sweep.num_result == 0:
        return 0.0, 0
    return float(np.array(sweep.ap)[np.array(THRESHOLDS) <= last_iou].mean()), 1


def count_error_ratio(result: np.ndarray, truth: np.ndarray) -> tuple[int, int]:
    """Difference in the number of objects of two label images, and 1."""
    overlaps = count_overlaps(truth, result)
    return abs(len(overlaps.result_labels) - len(overlaps.reference_labels)), 1


def dice_ratio(result: np.ndarray, truth: np.ndarray) -> tuple[int, int]:
    """Foreground pixels (not 0) that both images have, counted in both, and all those of both images."""
    found, true = result != 0, truth != 0
    return 2 * int(np.count_nonzero(found & true)), int(np.count_nonzero(found) + np.count_nonzero(true))


def iou_ratio(result: np.ndarray, truth: np.ndarray) -> tuple[int, int]:
    """Foreground pixels (not 0) that both images have, and those that at least one has."""
    both, total = dice_ratio(result, truth)
    return both // 2, total - both // 2
