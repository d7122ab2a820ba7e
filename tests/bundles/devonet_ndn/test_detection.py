"""Matching of detections to the truth, and the figures made of it."""

import itertools
import math

import numpy as np
import pytest
import torch
from devonet_ndn.detection import DetectionMetric, match_points
from hypothesis import given, settings
from hypothesis import strategies as st

points = st.lists(st.tuples(*[st.integers(0, 6)] * 2), max_size=4).map(lambda rows: np.reshape(rows, (-1, 2)))


def best_by_trying_all(reference: np.ndarray, detected: np.ndarray, radius: float) -> tuple[int, float]:
    """Largest number of pairs, and the smallest total distance with so many, over all assignments."""
    padded = [*range(len(detected)), *[None] * len(reference)]
    outcomes = []
    for partners in set(itertools.permutations(padded, len(reference))):
        distances = [math.dist(reference[i], detected[j]) for i, j in enumerate(partners) if j is not None]
        if all(distance <= radius for distance in distances):
            outcomes.append((-len(distances), sum(distances)))
    count, total = min(outcomes)
    return -count, total


@settings(max_examples=60)
@given(points, points, st.sampled_from([0.5, 1.0, 2.0, 5.0, 20.0]))
def test_matching_is_the_best_of_all_assignments(reference, detected, radius):
    pairs = match_points(reference, detected, radius)
    distances = np.linalg.norm(reference[pairs[:, 0]] - detected[pairs[:, 1]], axis=1)
    assert (distances <= radius).all()
    assert all(len(set(column)) == len(pairs) for column in pairs.T)
    assert (len(pairs), distances.sum()) == pytest.approx(best_by_trying_all(reference, detected, radius))


def test_nearest_first_would_leave_one_unmatched():
    reference, detected = np.array([[0.0], [3.0]]), np.array([[3.0], [6.0]])
    assert match_points(reference, detected, 3.0).tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize(("radius", "num_pairs"), [(5.0, 1), (4.999, 0)])
def test_a_detection_at_the_radius_counts(radius, num_pairs):
    assert len(match_points(np.zeros((1, 3)), np.array([[0.0, 3.0, 4.0]]), radius)) == num_pairs


@pytest.mark.parametrize(("num_reference", "num_detected"), [(0, 0), (0, 3), (3, 0)])
def test_no_points_make_no_pairs(num_reference, num_detected):
    assert match_points(np.zeros((num_reference, 3)), np.zeros((num_detected, 3)), 1.0).shape == (0, 2)


def line(*positions: float, scores: bool = False) -> torch.Tensor:
    """Points on a line as the transforms make them, (n, 3), or (n, 4) with a score."""
    rows = torch.zeros(len(positions), 4 if scores else 3)
    rows[:, 0] = torch.tensor(positions)
    if scores:
        rows[:, 3] = 100.0  # would make every match fail, were it taken for a coordinate
    return rows


# detected, reference: 2 of 3 matched; nothing to find but one found; nothing at all; 1 missed
VOLUMES = [((0, 11, 50), (0, 10, 90)), ((7,), ()), ((), ()), ((), (3,))]
EXPECTED = {
    "precision": ([2 / 3, 0, math.nan, math.nan], 2 / 4),
    "recall": ([2 / 3, math.nan, math.nan, 0], 2 / 4),
    "marker_f1": ([2 / 3, 0, math.nan, 0], 4 / 8),
    "count_error": ([0, 1, 0, 1], 2 / 4),
}


@pytest.mark.parametrize("kind", DetectionMetric.KINDS)
def test_values_per_volume_and_pooled_over_nuclei(kind):
    metric = DetectionMetric(kind, radius=2.0)
    for detected, reference in VOLUMES:
        metric([line(*detected, scores=True)], [line(*reference)])
    per_volume, pooled = EXPECTED[kind]
    np.testing.assert_allclose(metric.get_buffer(), np.reshape(per_volume, (4, 1)), rtol=1e-6)
    assert metric.aggregate().item() == pytest.approx(pooled)


def test_volumes_of_one_batch_count_as_those_of_several():
    metric = DetectionMetric("marker_f1", radius=2.0)
    detected, reference = zip(*VOLUMES, strict=True)
    metric([line(*row) for row in detected], [line(*row) for row in reference])
    np.testing.assert_allclose(metric.get_buffer()[:, 0], EXPECTED["marker_f1"][0], rtol=1e-6)


@pytest.mark.parametrize("kind", ["precision", "recall", "marker_f1"])
def test_without_any_nucleus_there_is_no_value(kind):
    metric = DetectionMetric(kind, radius=2.0)
    metric([line()], [line()])
    assert metric.aggregate().isnan()


def test_kind_that_there_is_not():
    with pytest.raises(ValueError, match="kind is 'map', expected one of marker_f1, precision, recall, count_error"):
        DetectionMetric("map", radius=2.0)


def test_detections_without_a_reference():
    with pytest.raises(ValueError, match="a score needs the truth"):
        DetectionMetric("marker_f1", radius=2.0)([line(0)])
