"""DET of the Cell Tracking Challenge: what it costs to correct the detections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .seg import Overlaps, count_overlaps

__all__ = ["Detections", "count_detections", "det"]

SPLIT_WEIGHT, MISSED_WEIGHT, EXTRA_WEIGHT = 5, 10, 1


@dataclass(frozen=True)
class Detections:
    """Operations that correct the detections of one or more frames; frames add up with ``+``.

    Attributes
    ----------
    num_markers : int
        Reference markers.
    num_splits : int
        Markers beyond the first in one result object, which the challenge would have to split.
    num_missed : int
        Markers that no result object covers by more than half.
    num_extra : int
        Result objects that cover no marker by more than half.
    """

    num_markers: int = 0
    num_splits: int = 0
    num_missed: int = 0
    num_extra: int = 0

    def __add__(self, other: Detections) -> Detections:
        return Detections(
            self.num_markers + other.num_markers,
            self.num_splits + other.num_splits,
            self.num_missed + other.num_missed,
            self.num_extra + other.num_extra,
        )

    @property
    def det(self) -> float:
        """DET in [0, 1]: one minus the weighted operations over those of an empty result; NaN without a marker."""
        if not self.num_markers:
            return float("nan")
        cost = SPLIT_WEIGHT * self.num_splits + MISSED_WEIGHT * self.num_missed + EXTRA_WEIGHT * self.num_extra
        empty = MISSED_WEIGHT * self.num_markers
        return 1 - min(cost, empty) / empty


def det(markers: np.ndarray, result: np.ndarray) -> float:
    """DET of one frame.

    Parameters
    ----------
    markers : ndarray of int, shape (Y, X) or (Z, Y, X)
        Reference markers as a label image; 0 is background.
    result : ndarray of int, same shape
        Result objects as a label image.

    Returns
    -------
    float
        In [0, 1]; NaN if there is no marker.

    Raises
    ------
    ValueError
        If the shapes differ or the labels are not integers of at least 0.

    References
    ----------
    .. [1] Matula et al. (2015), doi:10.1371/journal.pone.0144959
    .. [2] Ulman et al. (2017), doi:10.1038/nmeth.4473
    """
    return count_detections(count_overlaps(markers, result)).det


def count_detections(overlaps: Overlaps) -> Detections:
    """Operations that correct the detections of one frame.

    Parameters
    ----------
    overlaps : Overlaps
        Overlap table of the reference markers and the result.
    """
    num_covered = int(np.count_nonzero(overlaps.covered))
    num_hit = len(np.unique(overlaps.results[overlaps.covered]))
    return Detections(
        num_markers=len(overlaps.reference_labels),
        num_splits=num_covered - num_hit,
        num_missed=len(overlaps.reference_labels) - num_covered,
        num_extra=len(overlaps.result_labels) - num_hit,
    )
