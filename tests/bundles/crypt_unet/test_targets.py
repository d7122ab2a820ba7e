"""What is learned: crypts and their cores, and nothing where nothing was released."""

import numpy as np
import pytest
import torch
from crypt_unet.targets import HideUnknownd, MakeTargetsd, cores
from scipy import ndimage


def labels(seed: int = 0, shape: tuple[int, int] = (24, 27)) -> np.ndarray:
    """Objects of all shapes, many of which touch each other."""
    seeds = np.zeros(shape, int)
    places = np.random.default_rng(seed).integers(0, shape, (9, 2))
    seeds[tuple(places.T)] = np.arange(1, 10)
    nearest = ndimage.distance_transform_edt(seeds == 0, return_indices=True)[1]
    grown = seeds[tuple(nearest)]
    return np.where(ndimage.gaussian_filter(np.random.default_rng(seed + 1).normal(size=shape), 2) > -0.05, grown, 0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("depth", [1.0, 2.5])
def test_cores_are_farther_from_every_other_pixel_than_the_depth(seed, depth):
    image = labels(seed)
    places = np.argwhere(np.ones_like(image))
    away = np.linalg.norm(places[:, None] - places[None], axis=-1)
    other = image.ravel()[:, None] != image.ravel()[None]
    expected = (image > 0).ravel() & (np.where(other, away, np.inf).min(axis=1) > depth)
    np.testing.assert_array_equal(cores(image, depth).ravel(), expected)


def test_touching_objects_share_no_core():
    image = np.zeros((20, 30), int)
    image[3:17, 2:15], image[3:17, 15:28] = 4, 9
    found, num_cores = ndimage.label(cores(image, 2.5), np.ones((3, 3)))
    assert num_cores == 2
    assert {int(image[found == core][0]) for core in (1, 2)} == {4, 9}


def test_an_object_that_is_the_whole_image_is_all_core():
    assert cores(np.ones((5, 6), int), 2.5).all()


def test_targets_are_ignored_where_the_slide_is_black():
    image = np.full((3, 24, 27), 120, np.uint8)
    image[:, :, 20:] = 0
    data = MakeTargetsd("label", core_depth=2.0)({"image": image, "label": labels()[None]})
    found = data["label"].numpy()
    assert found.dtype == np.int8 and found.shape == (2, 24, 27)
    assert (found[:, :, 20:] == -1).all()
    np.testing.assert_array_equal(found[0, :, :20], labels()[:, :20] > 0)
    np.testing.assert_array_equal(found[1, :, :20], cores(labels(), 2.0)[:, :20])


def test_what_is_ignored_is_black():
    label = torch.zeros(2, 4, 5)
    label[:, 1] = -1
    image = HideUnknownd("image")({"image": torch.full((3, 4, 5), 9.0), "label": label})["image"]
    assert not image[:, 1].any() and (image[:, [0, 2, 3]] == 9).all()
