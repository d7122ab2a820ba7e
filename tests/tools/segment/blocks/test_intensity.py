import numpy as np
import pytest

from common.errors import InputError
from tools.segment.blocks.cutting import cut
from tools.segment.blocks.intensity import SAMPLE_SIZE, gray_sample, on_grid


def pieces(image):
    return [image[:7, :100], image[:7, 100:], image[7:]]


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "float32", "uint32"])
def test_sample_has_the_percentiles_of_the_image(kind):
    image = np.random.default_rng(0).gamma(2.0, 40.0, (300, 700)).astype(kind)
    sample = gray_sample(pieces(image), image.size)
    assert sample.dtype == image.dtype and len(sample) == SAMPLE_SIZE
    wanted = [0, 0.5, 50, 99.5, 100]
    np.testing.assert_allclose(np.percentile(sample, wanted), np.percentile(image, wanted), rtol=2e-3)
    assert sample.astype(float).clip(0, 300).std() == pytest.approx(image.astype(float).clip(0, 300).std(), rel=1e-3)


@pytest.mark.parametrize("kind", ["uint8", "int8", "float64"])
def test_sample_of_a_small_image_is_the_image(kind):
    image = np.random.default_rng(1).integers(-100 if kind == "int8" else 0, 100, (20, 150)).astype(kind)
    np.testing.assert_array_equal(gray_sample(pieces(image), image.size), np.sort(image.ravel()))


def test_of_a_large_float_image_pixels_at_even_distances_are_looked_at(monkeypatch):
    monkeypatch.setattr("tools.segment.blocks.intensity.LOOKED_AT", 100)
    image = np.arange(1003, dtype=np.float32)
    cut_apart = np.split(image, [3, 10, 500, 501])
    np.testing.assert_array_equal(gray_sample(cut_apart, image.size), image[::10])


def test_infinite_pixels_are_refused():
    with pytest.raises(InputError, match="NaN or infinite"):
        gray_sample([np.array([1.0, np.inf])], 2)


def test_values_on_another_grid_are_the_same_in_parts_as_in_the_whole_image():
    image = np.random.default_rng(0).normal(size=(30, 40, 50)).astype(np.float32)
    ratios = (0.875, 1.0, 2.5)
    whole = on_grid(image, (0, 0, 0), [(0, side) for side in image.shape], image.shape, ratios, 1)
    assert len(whole) == 34 * 40 * 21
    parts = []
    for block in cut(image.shape, (11, 40, 17), (12, 12, 12)):
        seen = image[tuple(slice(*side) for side in block.region)]
        parts.append(on_grid(seen, [start for start, _ in block.region], block.core, image.shape, ratios, 1))
    np.testing.assert_allclose(np.sort(np.concatenate(parts)), np.sort(whole), atol=1e-4)


def test_every_pixel_of_the_same_grid_is_itself_and_steps_leave_some_out():
    image = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    core = [(1, 3), (0, 4), (2, 5)]
    values = on_grid(image, (0, 0, 0), core, image.shape, (1.0, 1.0, 1.0), 1)
    np.testing.assert_allclose(values, image[1:3, :, 2:5].ravel(), atol=1e-4)
    np.testing.assert_array_equal(on_grid(image, (0, 0, 0), core, image.shape, (1.0, 1.0, 1.0), 5), values[::5])
