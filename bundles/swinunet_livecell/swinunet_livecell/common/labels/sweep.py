"""F1 of objects over a sweep of IoU thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .seg import Overlaps

__all__ = ["THRESHOLDS", "F1Sweep", "count_matches"]

THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))


@dataclass(frozen=True)
class F1Sweep:
    """Objects of one or more frames, and how many are matched at each of `THRESHOLDS`; frames add up with ``+``."""

    num_reference: int = 0
    num_result: int = 0
    num_matched: tuple[int, ...] = (0,) * len(THRESHOLDS)

    def __add__(self, other: F1Sweep) -> F1Sweep:
        matched = tuple(mine + theirs for mine, theirs in zip(self.num_matched, other.num_matched, strict=True))
        return F1Sweep(self.num_reference + other.num_reference, self.num_result + other.num_result, matched)

    @property
    def f1(self) -> tuple[float, ...]:
        """F1 = 2 TP / (2 TP + FP + FN) at each threshold; NaN if there is no object at all."""
        num_objects = self.num_reference + self.num_result
        return tuple(2 * matched / num_objects if num_objects else float("nan") for matched in self.num_matched)

    @property
    def ap(self) -> tuple[float, ...]:
        """TP / (TP + FP + FN) at each threshold; NaN if there is no object at all."""
        num_objects = self.num_reference + self.num_result
        return tuple(matched / (num_objects - matched) if num_objects else float("nan") for matched in self.num_matched)


def count_matches(overlaps: Overlaps) -> F1Sweep:
    """Objects that are matched at an IoU above 0.5, 0.55, ... 0.95, where no object has more than one partner.

    Parameters
    ----------
    overlaps : Overlaps
        Overlap table of a frame in which every object is annotated.
    """
    num_matched = tuple(int(np.count_nonzero(overlaps.ious > threshold)) for threshold in THRESHOLDS)
    return F1Sweep(len(overlaps.reference_labels), len(overlaps.result_labels), num_matched)
