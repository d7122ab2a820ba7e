"""DET weighs further markers in one object, missed markers and extra objects as the challenge does."""

import math

import numpy as np
import pytest
from hypothesis import given, settings

from common.labels.det import Detections, count_detections, det
from common.labels.seg import count_overlaps
from tests.common.labels.images import has_object, label_pairs, oracle


@pytest.mark.parametrize(
    ("markers", "result", "detections", "expected"),
    [
        ([1, 2, 0], [8, 9, 9], Detections(num_markers=2), 1.0),
        ([1, 2, 3], [9, 9, 9], Detections(num_markers=3, num_splits=2), 1 - 10 / 30),
        ([1, 2, 0], [9, 0, 0], Detections(num_markers=2, num_missed=1), 1 - 10 / 20),
        ([1, 2, 0], [7, 8, 9], Detections(num_markers=2, num_extra=1), 1 - 1 / 20),
        ([1, 1, 2], [0, 9, 8], Detections(num_markers=2, num_missed=1, num_extra=1), 1 - 11 / 20),  # half covered
        ([1, 2, 0], [0, 0, 0], Detections(num_markers=2, num_missed=2), 0.0),  # empty result
        ([1, 0, 0], [0, 8, 9], Detections(num_markers=1, num_missed=1, num_extra=2), 0.0),  # worse than empty
    ],
)
def test_by_hand(markers, result, detections, expected):
    markers, result = np.array(markers), np.array(result)
    assert count_detections(count_overlaps(markers, result)) == detections
    assert det(markers, result) == pytest.approx(expected)


def test_without_marker_det_is_undefined():
    assert math.isnan(det(np.array([0, 0]), np.array([1, 0])))


@settings(max_examples=60)
@given(label_pairs().filter(has_object))
def test_agrees_with_py_ctcmetrics(pair):
    assert det(*pair) == pytest.approx(oracle(*pair)[1], abs=1e-12)


def test_frames_add_up():
    both = Detections(num_markers=4, num_splits=1) + Detections(num_markers=1, num_missed=1, num_extra=3)
    assert both == Detections(num_markers=5, num_splits=1, num_missed=1, num_extra=3)
    assert both.det == pytest.approx(1 - 18 / 50)
