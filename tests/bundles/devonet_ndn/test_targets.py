"""Centres of nuclei, and the balls around them that the network learns."""

import numpy as np
import pytest
from devonet_ndn.targets import BallTargetsd, CentresUmd, draw_balls, find_centres
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from monai.transforms import Rotate90d, Spacingd, SpatialCropd
from scipy import ndimage
from skimage.measure import regionprops

label_images = npst.arrays(
    np.uint16, npst.array_shapes(min_dims=2, max_dims=3, max_side=7), elements=st.sampled_from([0, 1, 2, 7, 60000])
)
places = st.tuples(*[st.floats(-3, 12)] * 3)


@settings(max_examples=60)
@given(label_images)
def test_centres_agree_with_regionprops(labels):
    expected = [region.centroid for region in regionprops(labels.astype(np.int32))]
    np.testing.assert_allclose(find_centres(labels), np.reshape(expected, (-1, labels.ndim)), atol=1e-9)


def test_labels_may_be_whole_floats():
    labels = np.random.default_rng(0).integers(0, 5, (6, 5, 4))
    np.testing.assert_array_equal(find_centres(labels.astype(np.float32)), find_centres(labels))


@settings(max_examples=60)
@given(st.lists(places, max_size=3), st.tuples(*[st.floats(0.1, 6)] * 3))
def test_balls_agree_with_testing_every_voxel(centres, radii):
    shape = (9, 8, 7)
    mask = draw_balls(shape, np.reshape(centres, (-1, 3)), radii)
    inside, maybe = np.zeros(shape, bool), np.zeros(shape, bool)
    for centre in centres:
        offset = np.abs(np.moveaxis(np.indices(shape), 0, -1) - centre)
        distance = np.linalg.norm(offset / radii, axis=-1)
        inside |= distance < 1 - 1e-9
        nearest = np.all(offset <= 0.5 + 1e-9, axis=-1)
        maybe |= (distance < 1 + 1e-9) | nearest
        assert mask[nearest].any() or not nearest.any()
    assert not (inside & ~mask).any()
    assert not (mask & ~maybe).any()


def test_ball_smaller_than_a_voxel_is_one_voxel():
    assert np.argwhere(draw_balls((5, 5, 5), np.array([[1.4, 2.4, 3.6]]), (0.1, 0.1, 0.1))).tolist() == [[1, 2, 4]]


@pytest.mark.parametrize("radius", [1.0, 2.0, 3.0])
def test_the_radius_itself_belongs_to_a_marker_and_nothing_beyond_it(as_volume, radius):
    labels = np.zeros((9, 9, 9))
    labels[4, 4, 4] = 1
    row = targets(as_volume, labels, (1.0, 1.0, 1.0), radius=radius)[0, :, 4, 4].numpy()
    assert np.flatnonzero(row).tolist() == list(range(4 - int(radius), 5 + int(radius)))


def test_ball_at_the_border_is_cut_off_and_comes_in_nowhere_else():
    mask = draw_balls((6, 6, 6), np.array([[0.0, 5.0, 0.0]]), (2, 2, 2))
    assert mask.sum() == 1 + 3 + 3 + 1 + 3  # an eighth of the ball of 33 voxels, with the planes that bound it
    assert not mask[3:].any() and not mask[:, :3].any() and not mask[:, :, 3:].any()


def targets(as_volume, labels: np.ndarray, spacing: tuple[float, ...], **settings) -> np.ndarray:
    volume = as_volume(labels, np.diag([*spacing, 1.0]))
    return BallTargetsd("label", **settings)({"image": volume, "label": volume})["label"]


def test_radius_in_micrometres_makes_a_ball_in_the_specimen(as_volume, distance_um):
    labels, spacing = np.zeros((19, 17, 9)), (0.8, 0.7, 2.0)
    labels[9, 8, 4] = 5
    target = targets(as_volume, labels, spacing, radius=4.3)
    expected = distance_um(labels.shape, np.array([9, 8, 4]) * spacing, spacing) <= 4.3
    np.testing.assert_array_equal(target[0].numpy() == 1, expected)


def test_radius_in_voxels_makes_a_ball_in_the_array(as_volume, distance_um):
    labels = np.zeros((9, 9, 9))
    labels[4, 3, 4] = 1
    target = targets(as_volume, labels, (0.8, 0.7, 2.0), radius=2.2, unit="voxel")
    np.testing.assert_array_equal(target[0].numpy() == 1, distance_um(labels.shape, [4, 3, 4], (1, 1, 1)) <= 2.2)


def test_radius_in_voxels_is_of_the_labels_and_not_of_the_resampled_image(as_volume):
    labels = np.zeros((21, 21, 21))
    labels[10, 10, 10] = 1
    data = {"image": as_volume(np.zeros((41, 21, 11)), np.diag([0.5, 1, 2, 1])), "label": as_volume(labels)}
    target = BallTargetsd("label", radius=4.0, unit="voxel")(data)["label"][0].numpy()
    assert [int(np.ptp(axis)) + 1 for axis in np.nonzero(target)] == [17, 9, 5]


def test_volume_without_nuclei_has_an_empty_target(as_volume):
    target = targets(as_volume, np.zeros((4, 5, 6)), (1, 1, 1), radius=2)
    assert target.shape == (1, 4, 5, 6) and not target.any()


AFFINES = {
    "plain": np.diag([0.8, 0.8, 2.0, 1.0]),
    "shifted": np.array([[0.8, 0, 0, 40], [0, 0.7, 0, -3], [0, 0, 1.9, 7], [0, 0, 0, 1.0]]),
    "turned and flipped": np.array([[0, 0.7, 0, 9], [-0.8, 0, 0, 2], [0, 0, 1.9, -7], [0, 0, 0, 1.0]]),
}


CHANGES = {
    "coarser": Spacingd("image", pixdim=(1.6, 1.6, 1.75), mode=3, dtype=np.float32),
    "finer": Spacingd("image", pixdim=(0.5, 0.9, 1.1), mode=3, dtype=np.float32),
    "turned": Rotate90d("image", k=1, spatial_axes=(0, 2)),
    "cropped": SpatialCropd("image", roi_start=(1, 3, 1), roi_end=(28, 30, 13)),
}


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES.keys())
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("centre", [(14, 19, 6), (6, 9, 5)])
def test_ball_lies_on_the_nucleus_whatever_became_of_the_image(as_volume, distance_um, affine, change, centre):
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    distance = distance_um((30, 34, 14), centre * spacing, spacing)
    nucleus = as_volume(np.exp(-((distance / 1.5) ** 2)), affine)
    data = change({"image": nucleus, "label": as_volume((distance < 2.5) * 9, affine)})
    data = BallTargetsd("label", radius=2.5)(data)
    assert data["label"].shape == data["image"].shape
    np.testing.assert_allclose(data["label"].affine, data["image"].affine)
    seen, ball = (ndimage.center_of_mass(data[key][0].numpy()) for key in ("image", "label"))
    np.testing.assert_allclose(ball, seen, atol=0.5)


def test_centres_come_as_z_y_x_in_micrometres(as_volume):
    labels = np.zeros((6, 7, 8))
    labels[1:4, 5, 6], labels[0, 0, 0] = 3, 8
    (points,) = CentresUmd("label")({"label": as_volume(labels, np.diag([0.5, 1, 2, 1]))}).values()
    np.testing.assert_allclose(points, [[12, 5, 1], [0, 0, 0]])


def test_no_nuclei_are_no_points(as_volume):
    assert CentresUmd("label")({"label": as_volume(np.zeros((3, 3, 3)))})["label"].shape == (0, 3)


def test_unit_that_there_is_not():
    with pytest.raises(ValueError, match="unit is 'px', expected 'um' or 'voxel'"):
        BallTargetsd("label", radius=2, unit="px")
