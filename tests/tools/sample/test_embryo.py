"""A drawn embryo is exact: nuclei touch and never overlap, and the image shows them where the truth says."""

import numpy as np
import pytest

from tools.sample.embryo import SHAPE, SPACING_UM, draw_image, draw_labels, draw_markers, place_nuclei


@pytest.fixture(params=[0, 1, 2])
def embryo(request):
    rng = np.random.default_rng(request.param)
    centres, shapes = place_nuclei(rng, 10)
    labels = draw_labels(centres, shapes)
    return centres, shapes, labels, draw_image(rng, labels)


def num_contacts(labels):
    """Number of pairs of neighbouring voxels that belong to two nuclei."""
    pairs = [(labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1]), (labels[..., 1:], labels[..., :-1])]
    return sum(np.count_nonzero((a != b) & (a > 0) & (b > 0)) for a, b in pairs)


def test_every_nucleus_is_there_and_some_touch(embryo):
    _, _, labels, _ = embryo
    assert (labels.shape, labels.dtype) == (SHAPE, np.uint16)
    assert np.bincount(labels.ravel(), minlength=11)[1:].min() > 50
    assert num_contacts(labels) > 0


def test_labels_lie_inside_their_ellipsoid(embryo):
    centres, shapes, labels, _ = embryo
    middle = (np.array(SHAPE) - 1) / 2
    for label, (centre, shape) in enumerate(zip(centres, shapes, strict=True), start=1):
        points = (np.argwhere(labels == label) - middle) * SPACING_UM - centre
        assert np.linalg.norm(points @ shape.T, axis=1).max() < 1


def test_lone_sphere_has_the_volume_of_a_sphere():
    labels = draw_labels(np.zeros((1, 3)), np.eye(3)[None] / 10.0)
    assert np.count_nonzero(labels) * np.prod(SPACING_UM) == pytest.approx(4 / 3 * np.pi * 10.0**3, rel=0.02)


def test_markers_lie_in_their_nucleus_one_to_one(embryo):
    centres, _, labels, _ = embryo
    ids = np.arange(100, 110)[::-1]
    markers = draw_markers(labels, centres, ids)
    pairs = set(zip(markers[markers > 0].tolist(), labels[markers > 0].tolist(), strict=True))
    assert pairs == {(110 - label, label) for label in range(1, 11)}
    middle = (np.array(SHAPE) - 1) / 2
    for marker, centre in zip(ids, centres, strict=True):
        assert np.linalg.norm(np.argwhere(markers == marker) - middle - centre / SPACING_UM, axis=1).max() <= 2


def test_nuclei_are_brighter_than_the_background_of_about_100(embryo):
    _, _, labels, image = embryo
    assert image.dtype == np.uint16
    assert np.median(image[:2, :5, :5]) == pytest.approx(104, abs=8)
    assert image[labels > 0].mean() > image[labels == 0].mean() + 80


def test_blur_is_wider_along_z():
    rng = np.random.default_rng(0)
    labels = draw_labels(np.zeros((1, 3)), np.eye(3)[None] / 6.0)
    image = np.mean([draw_image(rng, labels) for _ in range(20)], axis=0) - 106.0
    beyond_z, beyond_x = (
        image[8, 31:33, 31:33].mean(),
        image[11:13, 31:33, 41].mean(),
    )  # both about 7 µm from the middle
    assert beyond_z > 1.5 * beyond_x
