"""The sample is a folder of slides and run lengths that the converter takes without a word."""

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from skimage.color import rgb2hed

from common.labels.run_lengths import decode_rle
from tools.sample.crypts import crypts
from tools.sample.tissue import STYLES, draw_slide

SMALL = {"num_slides": 2, "size": 320}


@pytest.fixture(scope="module", params=range(len(STYLES)), ids=lambda style: f"style {style}")
def slide(request):
    return draw_slide(np.random.default_rng(3), 640, request.param)


def test_glass_is_white_the_stripe_is_black_and_crypts_are_in_neither(slide):
    image, mask = slide
    black, white = (image <= 60).all(-1), (image >= 220).all(-1)
    stripe = np.zeros_like(black)
    stripe[:, round(640 * 0.84) :] = True
    assert (image[stripe] == 0).all() and not mask[stripe].any()
    assert black[~stripe].mean() < 0.05
    assert 0.12 < white[~stripe].mean() < 0.35
    assert min(white[:100].mean(), white[:, :100].mean()) < 0.5 < max(white[:100].mean(), white[:, :100].mean())
    assert 0.05 < mask.mean() < 0.4


def test_crypts_are_apart_and_have_a_pale_middle_and_a_dark_ring(slide):
    image, mask = slide
    labels, num_crypts = ndimage.label(mask, np.ones((3, 3)))
    assert num_crypts >= 3
    depth = ndimage.distance_transform_edt(mask)
    largest = np.argmax(np.bincount(labels.ravel())[1:]) + 1
    inside, gray = labels == largest, image.mean(axis=-1)
    ring = inside & (depth > 3) & (depth < 8)
    middle = inside & (depth > 0.8 * depth[inside].max())
    assert gray[middle].mean() > gray[ring].mean() + 50


def test_second_style_has_less_haematoxylin_and_more_eosin():
    first, second = (draw_slide(np.random.default_rng(3), 320, style) for style in (0, 1))
    np.testing.assert_array_equal(first[1], second[1])
    tissue = (first[0] > 60).any(-1) & (first[0] < 220).any(-1)
    change = (rgb2hed(second[0]) - rgb2hed(first[0]))[tissue].mean(axis=0)
    assert change[0] < -0.005 and change[1] > 0.005


def test_run_lengths_are_those_of_the_drawn_masks(tmp_path):
    crypts(str(tmp_path), **SMALL)
    header, *rows = (tmp_path / "masks.csv").read_text().splitlines()
    assert header == "id,rle"
    for index, row in enumerate(rows):
        name, encoding = row.split(",")
        image, mask = draw_slide(np.random.default_rng([0, index]), 320, index)
        np.testing.assert_array_equal(tifffile.imread(tmp_path / f"{name}.tiff"), image)
        np.testing.assert_array_equal(decode_rle(encoding, mask.shape), mask)
