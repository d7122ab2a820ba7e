"""Average precision of COCO: how well results, the surest first, find the objects of the truth."""

from collections.abc import Sequence

import numpy as np

from .seg import count_overlaps

__all__ = ["average_precision", "match_by_score"]

RECALLS = np.linspace(0, 1, 101)


def match_by_score(
    result: np.ndarray, truth: np.ndarray, scores: np.ndarray, min_ious: Sequence[float]
) -> tuple[np.ndarray, int]:
    """Which objects of a result find one of the truth.

    In order of falling score, each object of the result takes the object of the truth with the highest IoU, if it is
    at least ``min_ious`` and was not taken before.

    Parameters
    ----------
    result, truth : ndarray of int, shape (Y, X) or (Z, Y, X)
        Label images on the same pixel grid; 0 is background.
    scores : ndarray of float, shape (n,)
        How sure each object of the result is, in the order of its labels.
    min_ious : sequence of float
        From 0.5 on.

    Returns
    -------
    matched : ndarray of bool, shape (n, number of ``min_ious``)
    num_truth : int
        Objects of the truth.

    Raises
    ------
    ValueError
        If there is not one score for every object, the shapes differ, or the labels are not integers of at least 0.
    """
    overlaps = count_overlaps(truth, result)
    num_found = len(overlaps.result_labels)
    if len(scores) != num_found:
        raise ValueError(f"{len(scores)} scores for {num_found} objects, expected one each")
    matched = np.zeros((num_found, len(min_ious)), bool)
    # the surest first; of pairs of the same object the one with the larger IoU
    order = np.lexsort((-overlaps.ious, overlaps.results, -np.asarray(scores, float)[overlaps.results]))
    for column, min_iou in enumerate(min_ious):
        taken = np.zeros(len(overlaps.reference_labels), bool)
        for pair in order[overlaps.ious[order] >= min_iou]:
            if not (matched[overlaps.results[pair], column] or taken[overlaps.references[pair]]):
                matched[overlaps.results[pair], column] = taken[overlaps.references[pair]] = True
    return matched, len(overlaps.reference_labels)


def average_precision(matched: np.ndarray, scores: np.ndarray, num_truth: int) -> np.ndarray:
    """Area under the curve of precision over recall, as COCO measures it.

    Parameters
    ----------
    matched : ndarray of bool, shape (n, m)
        Which objects of all images find one of the truth, at m least IoUs: see `match_by_score`.
    scores : ndarray of float, shape (n,)
        How sure each is.
    num_truth : int
        Objects of the truth in all images.

    Returns
    -------
    ndarray of float, shape (m,)
        In [0, 1]: the mean, over recalls of 0, 0.01, ... 1, of the largest precision that is reached there or at
        a larger recall. NaN where the truth has no object.

    References
    ----------
    .. [1] Lin, T.-Y. et al. Microsoft COCO: common objects in context. ECCV (2014).
    """
    matched = np.asarray(matched, bool)
    if not num_truth:
        return np.full(matched.shape[1], np.nan)
    matched = matched[np.argsort(-np.asarray(scores, float), kind="stable")]
    num_true = matched.cumsum(axis=0)
    precision = num_true / np.arange(1, len(matched) + 1)[:, None]
    # no smaller than at any larger recall; beyond the largest one it is 0
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    precision = np.vstack([precision, np.zeros((1, matched.shape[1]))])
    places = [np.searchsorted(column, RECALLS, side="left") for column in (num_true / num_truth).T]
    return np.array([column[place].mean() for column, place in zip(precision.T, places, strict=True)])
