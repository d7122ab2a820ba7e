"""From foreground and markers to objects, of which none is lost in silence."""

import inspect
import logging

import numpy as np
import pytest
import torch
from devonet_ndn.instances import SegmentInstancesd, segment_instances
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import ndimage
from skimage.segmentation import watershed

shapes = st.shared(npst.array_shapes(min_dims=3, max_dims=3, max_side=6), key="shape")
foregrounds = shapes.flatmap(lambda shape: npst.arrays(bool, shape))
marker_images = shapes.flatmap(lambda shape: npst.arrays(np.int32, shape, elements=st.sampled_from([0, 0, 0, 1, 4, 9])))


@pytest.fixture
def dumbbell(distance_um) -> tuple[np.ndarray, np.ndarray]:
    """Two balls that overlap, and a marker in each, numbered 7 and 3."""
    shape = (15, 15, 30)
    first, second = (distance_um(shape, (7, 7, x), (1, 1, 1)) for x in (8, 19))
    markers = np.zeros(shape, np.int32)
    markers[7, 7, 7:10], markers[7, 7, 18:21] = 7, 3
    return (first <= 6.5) | (second <= 6.5), markers


def test_touching_nuclei_are_parted_at_the_neck(dumbbell):
    foreground, markers = dumbbell
    instances = segment_instances(foreground, markers)
    np.testing.assert_array_equal(instances.labels > 0, foreground)
    assert (instances.labels[..., :13][foreground[..., :13]] == 7).all()
    assert (instances.labels[..., 15:][foreground[..., 15:]] == 3).all()
    assert instances.labels.dtype == np.int32
    assert instances.outside.size == instances.without_marker.size == 0


@settings(max_examples=80)
@given(foregrounds, marker_images, st.sampled_from([None, (2.0, 0.5, 0.5)]))
def test_every_voxel_of_the_foreground_belongs_to_an_object_and_no_other(foreground, markers, sampling):
    instances = segment_instances(foreground, markers, sampling=sampling)
    np.testing.assert_array_equal(instances.labels > 0, foreground)
    began = markers * foreground
    np.testing.assert_array_equal(instances.labels[began > 0], markers[began > 0])
    assert set(instances.outside) == set(markers.flat) - set(began.flat) - {0}
    assert set(instances.labels.flat) - {0} == (set(began.flat) - {0}) | set(instances.without_marker)
    assert not set(instances.without_marker) & set(markers.flat)


@settings(max_examples=80)
@given(foregrounds, marker_images, st.integers(1, 6))
def test_objects_without_a_marker_are_connected_and_large_enough(foreground, markers, min_size):
    instances = segment_instances(foreground, markers, voxel_volume=0.5, min_volume=0.5 * min_size)
    for label in instances.without_marker:
        region = instances.labels == label
        assert region.sum() >= min_size and ndimage.label(region)[1] == 1
    lost, num_lost = ndimage.label(foreground & (instances.labels == 0))
    assert all((lost == part).sum() < min_size for part in range(1, num_lost + 1))


@settings(max_examples=40)
@given(foregrounds, marker_images)
def test_the_layout_in_memory_does_not_matter(foreground, markers):
    expected = segment_instances(foreground, markers).labels
    for fortran in ((foreground.copy("F"), markers), (foreground, markers.copy("F"))):
        np.testing.assert_array_equal(segment_instances(*fortran).labels, expected)
    np.testing.assert_array_equal(segment_instances(foreground.copy("F"), markers.copy("F")).labels, expected)


def test_foreground_without_a_marker_becomes_an_object_of_its_own():
    foreground, markers = np.zeros((3, 9, 9), bool), np.zeros((3, 9, 9), int)
    foreground[:, 1:3, 1:3] = foreground[:, 6:8, 6:8] = foreground[1, 5, 1] = True
    markers[1, 1, 1] = 5
    instances = segment_instances(foreground, markers, voxel_volume=0.5, min_volume=6.0)
    assert instances.without_marker.tolist() == [6]
    np.testing.assert_array_equal(instances.labels[:, 6:8, 6:8], 6)
    assert instances.labels[1, 5, 1] == 0  # one voxel of 0.5 µm³
    larger = segment_instances(foreground, markers, voxel_volume=0.5, min_volume=6.01)
    assert larger.without_marker.size == 0 and set(larger.labels.flat) == {0, 5}


def test_new_objects_come_after_markers_outside_the_foreground_too():
    foreground, markers = np.zeros((1, 1, 9), bool), np.zeros((1, 1, 9), int)
    foreground[..., :3], markers[..., 6] = True, 12
    instances = segment_instances(foreground, markers)
    assert instances.outside.tolist() == [12] and instances.without_marker.tolist() == [13]


def test_marker_partly_outside_keeps_its_object_and_does_not_enlarge_it():
    foreground, markers = np.zeros((1, 1, 9), bool), np.zeros((1, 1, 9), int)
    foreground[..., 2:6], markers[..., 4:9] = True, 2
    instances = segment_instances(foreground, markers)
    assert instances.labels.ravel().tolist() == [0, 0, 2, 2, 2, 2, 0, 0, 0]
    assert instances.outside.size == 0


@pytest.mark.parametrize("with_marker", [False, True])
def test_foreground_everywhere_is_one_object(with_marker):
    markers = np.zeros((3, 4, 5), int)
    markers[1, 1, 1] = int(with_marker)
    assert (segment_instances(np.ones((3, 4, 5), bool), markers).labels == 1).all()


def test_inputs_stay_as_they_were(dumbbell):
    foreground, markers = dumbbell
    before = foreground.copy(), markers.copy()
    segment_instances(foreground, markers, min_volume=1.0)
    np.testing.assert_array_equal(foreground, before[0])
    np.testing.assert_array_equal(markers, before[1])


FLAT = np.diag([0.5, 0.5, 4.0, 1.0])


def flat_nuclei(distance_um) -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping balls (X, Y, Z), one large and one small, of voxels that are eight times as high as wide."""
    shape, spacing = (40, 40, 7), (0.5, 0.5, 4.0)
    first, second = distance_um(shape, (8, 8, 8), spacing), distance_um(shape, (13, 13, 16), spacing)
    markers = np.zeros(shape, np.int32)
    markers[16, 16, 2], markers[26, 26, 4] = 1, 2
    return (first <= 7.5) | (second <= 5.0), markers


def test_unit_chooses_between_distances_in_micrometres_and_voxels(as_volume, distance_um):
    foreground, markers = flat_nuclei(distance_um)
    labels = {}
    for unit, sampling in (("um", (0.5, 0.5, 4.0)), ("voxel", None)):
        data = {"pred": as_volume(markers, FLAT), "foreground": as_volume(foreground, FLAT)}
        labels[unit] = SegmentInstancesd("pred", unit=unit)(data)["pred"][0].numpy()
        distance = ndimage.distance_transform_edt(foreground, sampling=sampling)
        np.testing.assert_array_equal(labels[unit], watershed(-distance, markers, mask=foreground))
    assert (labels["um"] != labels["voxel"]).any()


def test_transform_takes_probability_or_mask_and_keeps_the_affine(as_volume, dumbbell):
    foreground, markers = dumbbell
    for volume in (foreground, np.where(foreground, 0.51, 0.49), np.where(foreground, 1.0, 0.5)):
        data = {"pred": as_volume(markers, FLAT), "foreground": as_volume(volume, FLAT)}
        found = SegmentInstancesd("pred")(data)
        np.testing.assert_array_equal(found["pred"][0], segment_instances(foreground, markers).labels)
        np.testing.assert_allclose(found["pred"].affine, FLAT)
        assert found["pred_without_marker"].size == 0


@pytest.mark.parametrize(("min_volume", "num_objects"), [(8.0, 1), (8.01, 0)])
def test_transform_measures_volume_in_micrometres(as_volume, min_volume, num_objects):
    foreground = np.zeros((5, 5, 5), bool)
    foreground[1:3, 1:3, 1:3] = True  # 8 voxels of 1 µm³
    data = {"pred": as_volume(np.zeros((5, 5, 5)), FLAT), "foreground": as_volume(foreground, FLAT)}
    found = SegmentInstancesd("pred", min_volume=min_volume)(data)
    assert found["pred"].max() == len(found["pred_without_marker"]) == num_objects


def test_markers_outside_the_foreground_are_reported_with_their_image(as_volume, caplog):
    markers = np.zeros((5, 5, 5))
    markers[0, 0, 0], markers[4, 4, 4], markers[2, 2, 2] = 3, 8, 1
    foreground = np.zeros((5, 5, 5))
    foreground[2, 2, 2] = 1
    data = {"pred": as_volume(markers, name="embryo.nii.gz").to(torch.int32), "foreground": as_volume(foreground)}
    with caplog.at_level(logging.WARNING):
        SegmentInstancesd("pred")(data)
    assert "embryo.nii.gz: 2 markers lie outside the foreground and have no object: 3, 8" in caplog.text


def test_transform_has_the_defaults_of_the_function():
    of_transform, of_function = (inspect.signature(thing) for thing in (SegmentInstancesd, segment_instances))
    assert of_transform.parameters["min_volume"].default == of_function.parameters["min_volume"].default
    assert of_transform.parameters["unit"].default == "voxel" and of_function.parameters["sampling"].default is None


def test_unit_that_there_is_not():
    with pytest.raises(ValueError, match="unit is 'px', expected 'um' or 'voxel'"):
        SegmentInstancesd("pred", unit="px")
