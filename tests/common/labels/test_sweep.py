"""F1 counts the objects that an optimal one-to-one matching pairs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import linear_sum_assignment

from common.labels.seg import count_overlaps
from common.labels.sweep import THRESHOLDS, F1Sweep, count_matches
from tests.common.labels.images import label_pairs


def sweep(reference, result):
    return count_matches(count_overlaps(np.array(reference), np.array(result)))


def test_thresholds_are_the_decimal_numbers():
    assert THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def test_iou_on_the_threshold_does_not_count():
    reference, result = np.repeat([1, 1, 0], [11, 9, 5]), np.repeat([1, 0, 0], [11, 9, 5])  # IoU 0.55
    assert sweep(reference, result).num_matched[:3] == (1, 0, 0)


def test_exact_halves_are_not_matched():
    assert sweep([1, 1, 2, 2], [3, 4, 5, 5]) == F1Sweep(2, 3, (1,) * 10)
    assert sweep([1, 2], [3, 3]) == F1Sweep(2, 1)


@settings(max_examples=60)
@given(label_pairs())
def test_agrees_with_the_optimal_assignment(pair):
    overlaps = count_overlaps(*pair)
    ious = np.zeros((len(overlaps.reference_labels), len(overlaps.result_labels)))
    ious[overlaps.references, overlaps.results] = overlaps.ious
    expected = [(ious > t)[linear_sum_assignment(ious > t, maximize=True)].sum() for t in THRESHOLDS]
    assert list(count_matches(overlaps).num_matched) == expected


def test_f1_of_frames_together():
    both = F1Sweep(2, 2, (2,) * 10) + F1Sweep(1, 3, (1,) + (0,) * 9)
    assert both.f1[:2] == pytest.approx((6 / 8, 4 / 8))


def test_without_any_object_f1_is_undefined():
    assert all(math.isnan(value) for value in sweep([0], [0]).f1)
