"""Intensity scaling: the camera's offset and gain make no difference, and odd volumes no NaN."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from common.intensity import ScaleFluorescenced, scale_fluorescence


def draw_volume(seed: int = 0) -> np.ndarray:
    """Noise around 100 with a bright block, as the camera counts."""
    rng = np.random.default_rng(seed)
    volume = rng.poisson(100, (12, 16, 16)).astype(np.float32)
    volume[3:6, 4:9, 4:9] += 400
    return volume


@pytest.mark.parametrize(("offset", "gain"), [(0, 17.0), (2000, 1.0), (-100, 0.25), (110, 17.0)])
def test_offset_and_gain_make_no_difference(offset, gain):
    volume = draw_volume()
    np.testing.assert_allclose(scale_fluorescence(offset + gain * volume), scale_fluorescence(volume), atol=1e-3)


def test_background_is_zero_and_bright_is_one():
    volume = draw_volume()
    scaled = scale_fluorescence(volume)
    assert scaled[volume == np.median(volume)] == pytest.approx(0)
    assert np.percentile(scaled, 99.5) == pytest.approx(1, abs=0.02)


def test_brighter_stays_brighter():
    volume = draw_volume()
    order = np.argsort(volume, axis=None)
    assert np.all(np.diff(scale_fluorescence(volume).ravel()[order]) >= 0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
def test_integers_give_what_floats_give(dtype):
    volume = np.clip(draw_volume(), 0, 255)
    scaled = scale_fluorescence(volume.astype(dtype))
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, scale_fluorescence(volume))


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_constant_volume_is_all_zero(value):
    assert not scale_fluorescence(np.full((3, 4, 5), value, np.uint16)).any()


def test_rounding_of_a_resampled_constant_is_not_stretched_to_nuclei():
    volume = np.full((6, 6, 6), 100, np.float32)
    volume[::2] = np.nextafter(np.float32(100), np.float32(200))
    assert not scale_fluorescence(volume).any()


def test_few_bright_voxels_are_bright_though_the_percentile_misses_them():
    volume = np.full((10, 10, 10), 5, np.uint8)  # 99.5 % percentile == median
    volume[0, 0, 0] = 200
    scaled = scale_fluorescence(volume)
    assert scaled[0, 0, 0] == pytest.approx(1)
    assert not scaled[1:].any()


@settings(max_examples=60)
@given(npst.arrays(np.uint16, npst.array_shapes(min_dims=3, max_dims=3, max_side=4), elements=st.integers(0, 65535)))
def test_no_volume_gives_nan(volume):
    assert np.isfinite(scale_fluorescence(volume)).all()


def test_input_is_not_modified():
    volume = draw_volume()
    before = volume.copy()
    scale_fluorescence(volume)
    np.testing.assert_array_equal(volume, before)


def test_a_part_is_scaled_as_in_the_whole_volume_by_a_sample_of_it(tmp_path):
    volume = draw_volume()
    part = volume[: volume.shape[0] // 2]
    expected = scale_fluorescence(volume)[: len(part)]
    np.testing.assert_array_equal(scale_fluorescence(part, sample=volume), expected)
    np.save(tmp_path / "sample.npy", np.sort(volume.ravel()))
    transform = ScaleFluorescenced(keys="image", sample=tmp_path / "sample.npy")
    np.testing.assert_allclose(transform({"image": torch.as_tensor(part)[None]})["image"][0], expected, atol=1e-6)


def test_transform_has_the_function_and_its_defaults():
    function = inspect.signature(scale_fluorescence).parameters
    transform = inspect.signature(ScaleFluorescenced).parameters
    shared = ["bright_percentile", "softness"]
    assert [transform[name].default for name in shared] == [function[name].default for name in shared]
    image = torch.as_tensor(draw_volume())[None]
    scaled = ScaleFluorescenced(keys="image")({"image": image})["image"]
    np.testing.assert_array_equal(scaled[0].numpy(), scale_fluorescence(image[0].numpy()))
