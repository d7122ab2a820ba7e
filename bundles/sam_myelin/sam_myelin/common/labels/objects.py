"""How many objects two label images have in common, whatever their size."""

import numpy as np

from .seg import count_overlaps

__all__ = ["match_objects"]


def match_objects(predicted: np.ndarray, truth: np.ndarray, min_iou: float = 0.5) -> tuple[int, int, int]:
    """Count objects, and pairs of them that cover each other.

    An object is found if it has an IoU above ``min_iou`` with an object of the truth. From 0.5 on it has that with one
    at most, and that one with no other, so that pairs need no assignment.

    Parameters
    ----------
    predicted, truth : ndarray of int, shape (Y, X)
        Label images on the same pixel grid; 0 is background, labels may have gaps.
    min_iou : float
        In [0.5, 1).

    Returns
    -------
    true_positives, num_predicted, num_truth : int
        Pairs, objects in ``predicted``, objects in ``truth``.

    Raises
    ------
    ValueError
        If ``min_iou`` is out of range, the shapes differ, or the labels are not integers of at least 0.
    """
    if not 0.5 <= min_iou < 1:
        raise ValueError(f"min_iou {min_iou}: expected a number from 0.5 to below 1, where a pair is unique")
    overlaps = count_overlaps(truth, predicted)
    num_pairs = int(np.count_nonzero(overlaps.ious > min_iou))
    return num_pairs, len(overlaps.result_labels), len(overlaps.reference_labels)
