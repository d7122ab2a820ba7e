"""The scale does not depend on the camera, on dirt, or on how many cells there are."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from swinunet_livecell.intensity import (
    ScalePhaseContrastd,
    WarnOfContrastd,
    scale_phase_contrast,
    unlike_phase_contrast,
)


def field(num_cells: int = 12) -> np.ndarray:
    """Noisy background of gray 120, and cells with a bright and a dark half."""
    rng = np.random.default_rng(0)
    image = rng.normal(120, 2, (200, 200))
    for top, left in rng.integers(0, 180, (num_cells, 2)):
        image[top : top + 10, left : left + 20] += 40
        image[top + 10 : top + 20, left : left + 20] -= 30
    return image.round()


def test_background_is_zero_and_deviation_is_one():
    scaled = scale_phase_contrast(field())
    assert scaled.dtype == np.float32
    assert np.median(scaled) == 0
    assert scaled.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("gain", "offset", "dtype"), [(1, 0, np.uint8), (257, 0, np.uint16), (100, 3000, np.uint16)])
def test_camera_does_not_matter(gain, offset, dtype):
    image = (field() * gain + offset).astype(dtype)
    np.testing.assert_allclose(scale_phase_contrast(image), scale_phase_contrast(field()), atol=1e-5)


def test_specks_of_dirt_do_not_change_the_cells():
    dirty = field()
    dirty[50:55, 50:55] = 65535
    clean = np.abs(field() - 120) > 15
    clean[50:55, 50:55] = False
    ratio = scale_phase_contrast(dirty)[clean] / scale_phase_contrast(field())[clean]
    assert ratio.min() > 0.9


def test_few_cells_are_not_scaled_up_to_many_times_the_usual():
    few, many = (np.abs(scale_phase_contrast(field(number))).max() for number in (4, 20))
    assert few < 2.5 * many


def test_image_is_left_alone():
    image = field()
    scale_phase_contrast(image)
    np.testing.assert_array_equal(image, field())


def test_constant_image_is_zero():
    assert not scale_phase_contrast(np.full((8, 8), 200, np.uint8)).any()


def test_few_pixels_in_a_constant_image_are_seen():
    image = np.zeros((100, 100), np.uint8)
    image[0, 0] = 9
    scaled = scale_phase_contrast(image)
    assert np.isfinite(scaled).all() and scaled[0, 0] > 1


def test_transform_keeps_metadata():
    image = MetaTensor(torch.from_numpy(field()[None]), meta={"filename_or_obj": "a.png"})
    scaled = ScalePhaseContrastd("image")({"image": image})["image"]
    assert (scaled.dtype, scaled.meta["filename_or_obj"]) == (torch.float32, "a.png")
    np.testing.assert_array_equal(scaled.numpy()[0], scale_phase_contrast(field()))


def phase_contrast(seed: int = 0) -> np.ndarray:
    """A background with darker and brighter spots."""
    rng = np.random.default_rng(seed)
    image = rng.normal(128, 2, (60, 80))
    image[10:20, 10:20], image[30:40, 30:40] = 160, 100
    return image.round()


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (phase_contrast(), None),
        (255 - phase_contrast(), None),
        (phase_contrast().clip(126), "darker than the background, as in fluorescence"),
        (phase_contrast().clip(None, 130), "brighter than the background, as in a stain"),
        (np.full((5, 5), 7), None),
    ],
)
def test_other_contrasts_are_told(image, reason, caplog):
    found = unlike_phase_contrast(image.astype(np.uint8))
    assert found is None if reason is None else reason in found
    WarnOfContrastd("image")({"image": MetaTensor(image[None], meta={"filename_or_obj": "a.png"})})
    assert ("a.png: hardly anything" in caplog.text) == (reason is not None)


def test_a_part_is_scaled_as_in_the_whole_image_by_a_sample_of_it(tmp_path):
    image = phase_contrast()
    np.save(tmp_path / "sample.npy", np.sort(image.ravel()))
    part = MetaTensor(image[None, 5:40, 10:50])
    scaled = ScalePhaseContrastd("image", sample=tmp_path / "sample.npy")({"image": part})["image"]
    np.testing.assert_allclose(scaled[0], scale_phase_contrast(image)[5:40, 10:50], rtol=1e-6)
