"""The network's input is Segment Anything's, and everything finds its way back into the image."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sam_myelin.common.errors import InputError
from sam_myelin.normalisation import (
    STD,
    fit_to,
    normalise,
    normalise_rgb,
    to_image,
    to_input,
    to_rgb,
    upsampling_weights,
)
from sam_myelin.variants import build_sam
from segment_anything.utils.transforms import ResizeLongestSide


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 30), np.uint8)


def test_input_is_that_of_segment_anything(image):
    rgb = np.random.default_rng(1).integers(0, 256, (48, 30, 3), np.uint8)
    for pixels, channels in ((image, np.stack([image] * 3, axis=-1)), (rgb, rgb)):
        given_in, fit = normalise(pixels, size=64)
        black, white = np.percentile(channels, [0.5, 99.5])
        stretched = ((channels - black) / (white - black) * 255).clip(0, 255)
        resized = ResizeLongestSide(64).apply_image(stretched.round().astype(np.uint8))
        expected = build_sam("efficient", image_size=64).preprocess(torch.from_numpy(resized).permute(2, 0, 1))
        assert fit.resized == (64, 40) and given_in.shape == (3, 64, 64) and given_in.dtype == torch.float32
        torch.testing.assert_close(given_in, expected, atol=2.01 / min(STD), rtol=0)  # two gray values: both round


def test_a_part_is_stretched_as_the_whole_image_where_that_is_given():
    whole = np.random.default_rng(0).integers(500, 9000, (40, 50), np.uint16)
    sample = np.sort(whole.ravel())
    np.testing.assert_allclose(to_rgb(whole[5:9, 5:9], sample=sample), to_rgb(whole)[:, 5:9, 5:9])


def test_padding_is_the_mean(image):
    given_in, _ = normalise(image, size=64)
    assert not given_in[:, :, 40:].any() and given_in[:, :, :40].any()


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 100), (1, 0), (16, 100), (200, 3000)])
def test_range_of_gray_values_does_not_matter(image, gain, offset):
    pixels = to_rgb((image.astype(float) * gain + offset).astype(np.uint8 if gain <= 1 else np.uint16))
    assert pixels.min() == 0 and pixels.max() == 255
    np.testing.assert_allclose(pixels, to_rgb(image.astype(np.uint16)), atol=1.5)
    assert not to_rgb(np.full((5, 5), 40_000, np.uint16)).any()


def test_tile_is_not_stretched_again(image):
    pixels = torch.from_numpy(to_rgb(image.astype(np.uint16) * 200))
    whole, _ = normalise_rgb(pixels, size=48)
    tile, fit = normalise_rgb(pixels[:, 10:20, 5:15], size=10)
    assert fit.resized == (10, 10)
    torch.testing.assert_close(tile, whole[:, 10:20, 5:15])
    torch.testing.assert_close(whole, normalise(image.astype(np.uint16) * 200, size=48)[0])


def test_image_is_left_alone(image):
    before = image.copy()
    normalise(image, size=64)
    np.testing.assert_array_equal(image, before)


@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([16, 64, 1024]))
def test_places_come_back(height, width, size):
    fit = fit_to((height, width), size)
    assert max(fit.resized) == size and min(fit.resized) >= 1
    corners = np.array([[-0.5, -0.5, width - 0.5, height - 0.5], [0, 0, width - 1, height - 1]])
    moved = to_input(corners, fit)
    np.testing.assert_allclose(moved[0], [-0.5, -0.5, fit.resized[1] - 0.5, fit.resized[0] - 0.5], atol=1e-3)
    np.testing.assert_allclose(to_image(moved, fit), corners, atol=1e-2)
    np.testing.assert_allclose(to_input(corners[:, 2:], fit), moved[:, 2:])


def test_unknown_places_stay_unknown():
    assert np.isnan(to_input(np.full((2, 4), np.nan), fit_to((10, 20), 64))).all()


def test_logits_come_back_as_segment_anything_does_it():
    fit = fit_to((48, 30), 64)
    logits = torch.rand(2, 1, 16, 16)
    expected = build_sam("efficient", image_size=64).postprocess_masks(logits, fit.resized, fit.shape)
    down, right = upsampling_weights(fit, (16, 16))
    np.testing.assert_allclose(down @ logits[:, 0].numpy() @ right.T, expected[:, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((4, 4), np.float32), "type float32: expected 8 or 16 bit"),
        (np.zeros((4, 4, 4), np.uint8), r"shape \(4, 4, 4\): expected \(Y, X\)"),
        (np.zeros((0, 4), np.uint8), r"shape \(0, 4\)"),
    ],
)
def test_other_images_are_refused(pixels, message):
    with pytest.raises(InputError, match=message):
        to_rgb(pixels)
