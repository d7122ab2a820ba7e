"""From probabilities to markers: how many there are, where, and in which order."""

import inspect
import itertools

import numpy as np
import pytest
from devonet_ndn.markers import FindMarkersd, find_markers
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

CUBIC = (1.0, 1.0, 1.0)


def draw(shape: tuple[int, ...], voxels: dict[tuple[int, ...], float]) -> np.ndarray:
    """Probability that is zero but for single voxels."""
    probability = np.zeros(shape, np.float32)
    for voxel, value in voxels.items():
        probability[voxel] = value
    return probability


def random_probability(seed: int, shape: tuple[int, ...] = (10, 14, 18)) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.2)
    return (1 / (1 + np.exp(-8 * noise))).astype(np.float32)


@pytest.fixture
def touching(distance_um) -> np.ndarray:
    """Two balls of probability that share a border, 9 µm apart."""
    shape = (20, 20, 30)
    first, second = (distance_um(shape, (10, 10, x), CUBIC) for x in (10, 19))
    return (np.exp(-((first / 5) ** 2)) + 0.9 * np.exp(-((second / 5) ** 2))).clip(0, 1)


def test_two_touching_blobs_are_two_markers(touching):
    _, num_components = ndimage.label(touching > 0.4)
    assert num_components == 1
    markers = find_markers(touching, CUBIC, threshold=0.4)
    np.testing.assert_allclose(markers.centres, [[10, 10, 10], [10, 10, 19]], atol=1.0)
    assert markers.labels[10, 10, 10] == 1 and markers.labels[10, 10, 19] == 2
    np.testing.assert_array_equal(markers.labels > 0, touching > 0.4)


@pytest.mark.parametrize(("min_distance", "num_markers"), [(3.9, 2), (4.0, 1)])
def test_maxima_at_the_very_distance_are_one_marker(monkeypatch, min_distance, num_markers):
    monkeypatch.setattr(ndimage, "gaussian_filter", lambda values, sigma: values)
    row = draw((3, 3, 12), {(1, 1, 3): 0.9, (1, 1, 7): 0.8})
    assert len(find_markers(row, CUBIC, min_distance=min_distance).scores) == num_markers


def test_blobs_nearer_than_the_distance_are_one_marker_of_both(touching):
    markers = find_markers(touching, CUBIC, threshold=0.4, min_distance=9.5)
    np.testing.assert_array_equal(markers.labels, touching > 0.4)


@pytest.mark.parametrize(
    ("step", "num_markers"), [((3, 0, 0), 2), ((0, 3, 0), 1), ((0, 0, 3), 1), ((0, 0, 6), 2), ((2, 0, 0), 1)]
)
def test_distance_is_in_micrometres_along_each_axis(step, num_markers):
    probability = draw((12, 12, 12), {(3, 3, 3): 0.9, tuple(3 + np.array(step)): 0.8})
    markers = find_markers(probability, (2.0, 0.8, 0.8), min_distance=4.0)
    assert len(markers.scores) == num_markers
    assert markers.labels[3, 3, 3] == 1  # the highest stays


def test_the_unit_of_lengths_does_not_matter():
    probability = random_probability(0)
    expected = find_markers(probability, (2.0, 1.0, 0.5), min_distance=3.0, min_volume=4.0)
    found = find_markers(probability, (200.0, 100.0, 50.0), min_distance=300.0, min_volume=4e6)
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert len(found.scores)


def test_a_maximum_that_was_dropped_drops_no_other():
    row = draw((3, 3, 20), {(1, 1, 4): 0.9, (1, 1, 7): 0.8, (1, 1, 10): 0.7})
    markers = find_markers(row, CUBIC, min_distance=4.0)
    np.testing.assert_allclose(markers.centres, [[1, 1, 4], [1, 1, 10]])


def test_a_spike_yields_to_a_broad_maximum(distance_um):
    probability = 0.8 * (distance_um((9, 9, 21), (4, 4, 10), CUBIC) <= 2)
    probability[4, 4, 7] = probability[4, 4, 13] = 1  # 6 µm apart, each 3 µm from the middle
    assert len(find_markers(probability, CUBIC, min_distance=4.0).scores) == 1


@pytest.mark.parametrize(("min_volume", "num_markers"), [(0, 2), (4.0, 2), (4.01, 1), (32.0, 1), (32.01, 0)])
def test_small_markers_are_dropped_by_their_volume_in_micrometres(min_volume, num_markers):
    probability = np.zeros((10, 30, 30), np.float32)
    probability[2:4, 2:4, 2:4] = 0.9  # 8 voxels of 0.5 µm³
    probability[4:8, 20:24, 20:24] = 0.8
    markers = find_markers(probability, (2.0, 0.5, 0.5), min_volume=min_volume)
    assert len(markers.scores) == num_markers == markers.labels.max()


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8, 14])
@pytest.mark.parametrize("min_distance", [0.0, 1.0, 4.0])
def test_a_plateau_is_one_marker_however_wide(width, min_distance):
    probability = np.zeros((20, 20, 20), np.float32)
    probability[3 : 3 + width, 3 : 3 + width, 3 : 3 + width] = 1
    markers = find_markers(probability, CUBIC, min_distance=min_distance)
    np.testing.assert_array_equal(markers.labels, probability)
    np.testing.assert_allclose(markers.centres, [[3 + (width - 1) / 2] * 3])


def test_a_step_below_a_maximum_is_no_marker_of_its_own():
    row = np.zeros((3, 3, 30), np.float32)
    row[1, 1, 2:20], row[1, 1, 20:24] = 0.6, 0.9
    assert len(find_markers(row, CUBIC, min_distance=0.0).scores) == 1


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 6, 7), (1, 9, 9)])
@pytest.mark.parametrize("value", [0.0, 0.3, 0.5])
def test_nothing_above_the_threshold_is_no_marker(shape, value):
    markers = find_markers(np.full(shape, value, np.float32), CUBIC)
    assert markers.labels.shape == shape and not markers.labels.any()
    assert markers.centres.shape == (0, 3) and markers.scores.shape == (0,)


@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 5, 6)])
def test_a_volume_that_is_centre_throughout_is_one_marker(shape):
    markers = find_markers(np.full(shape, 0.9, np.float32), CUBIC)
    assert (markers.labels == 1).all()


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 1.5, 4.0]), st.sampled_from([0.0, 3.0, 20.0]))
def test_markers_are_what_they_say(seed, min_distance, min_volume):
    probability, spacing = random_probability(seed), (2.0, 0.8, 0.7)
    markers = find_markers(probability, spacing, min_distance=min_distance, min_volume=min_volume)
    numbers = range(1, len(markers.scores) + 1)
    assert set(np.unique(markers.labels)) - {0} == set(numbers)
    assert not markers.labels[probability <= 0.5].any()
    assert (np.diff(markers.scores) <= 0).all()
    for number, centre, score in zip(numbers, markers.centres, markers.scores, strict=True):
        region = markers.labels == number
        assert score == probability[region].max()
        assert region.sum() * np.prod(spacing) >= min_volume
        assert ndimage.label(region, np.ones((3, 3, 3)))[1] == 1
        weights = probability[region].astype(float)
        np.testing.assert_allclose(centre, weights @ np.argwhere(region) / weights.sum(), rtol=1e-5)


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_no_connected_region_is_without_a_marker_if_none_is_dropped(seed):
    probability = random_probability(seed)
    regions, num_regions = ndimage.label(probability > 0.5, np.ones((3, 3, 3)))
    markers = find_markers(probability, CUBIC, min_distance=0.0)
    assert set(regions[markers.labels > 0]) == set(range(1, num_regions + 1))


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_the_order_of_the_axes_does_not_matter(axes):
    probability, spacing = random_probability(3), np.array([2.0, 0.8, 0.7])
    straight = find_markers(probability, spacing)
    turned = find_markers(np.ascontiguousarray(probability.transpose(axes)), spacing[list(axes)])
    np.testing.assert_array_equal(turned.labels, straight.labels.transpose(axes))
    np.testing.assert_allclose(turned.centres, straight.centres[:, axes])


@pytest.mark.parametrize(
    "lay_out",
    [np.asfortranarray, lambda array: np.repeat(array, 2, axis=1)[:, ::2], lambda array: array[::-1].copy()[::-1]],
    ids=["Fortran", "strided", "reversed"],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_layout_in_memory_does_not_matter(lay_out, seed):
    probability = random_probability(seed)
    expected, markers = find_markers(probability, CUBIC), find_markers(lay_out(probability), CUBIC)
    assert len(expected.scores) > 3
    np.testing.assert_array_equal(markers.labels, expected.labels)
    np.testing.assert_allclose(markers.centres, expected.centres)


def test_the_probability_is_not_changed():
    probability = random_probability(0)
    before = probability.copy()
    find_markers(probability, CUBIC)
    np.testing.assert_array_equal(probability, before)


def test_transform_takes_the_spacing_from_the_volume_and_gives_z_y_x_in_micrometres(as_volume):
    probability = draw((9, 10, 11), {(2, 3, 4): 0.75, (7, 8, 1): 0.875})
    found = FindMarkersd("pred")({"pred": as_volume(probability, np.diag([0.5, 1, 2, 1]))})
    np.testing.assert_allclose(found["pred_detections"], [[2, 8, 3.5, 0.875], [8, 3, 1, 0.75]])
    assert found["pred"][0, 7, 8, 1] == 1 and found["pred"][0, 2, 3, 4] == 2
    np.testing.assert_allclose(found["pred"].affine, np.diag([0.5, 1, 2, 1]))


def test_transform_finds_nothing_in_an_empty_volume(as_volume):
    found = FindMarkersd("pred")({"pred": as_volume(np.zeros((3, 4, 5)))})
    assert found["pred_detections"].shape == (0, 4) and not found["pred"].any()


def test_transform_has_the_defaults_of_the_function():
    of_transform, of_function = (inspect.signature(thing).parameters for thing in (FindMarkersd, find_markers))
    for name in ("threshold", "min_distance", "min_volume"):
        assert of_transform[name].default == of_function[name].default
