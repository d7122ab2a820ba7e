"""Stains change as asked, and nothing else does."""

import numpy as np
import pytest
import torch
from crypt_unet.stain import RandStaind, perturb_stain
from monai.data import MetaTensor
from skimage.color import rgb2hed


def stained() -> torch.Tensor:
    """Colours that tissue has: neither black nor glass."""
    pixels = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    return pixels * torch.tensor([60.0, 90.0, 50.0])[:, None, None] + torch.tensor([140.0, 80.0, 140.0])[:, None, None]


def concentrations(image: torch.Tensor) -> np.ndarray:
    return rgb2hed(image.permute(1, 2, 0).numpy().astype(np.float64) / 255)


def test_factors_of_one_change_nothing():
    torch.testing.assert_close(perturb_stain(stained(), [1, 1, 1], [0, 0, 0]), stained(), atol=1e-2, rtol=0)


@pytest.mark.parametrize("channel", [0, 1], ids=["haematoxylin", "eosin"])
def test_one_stain_is_scaled_as_scikit_image_measures_it(channel):
    scales = [1.0, 1.0, 1.0]
    scales[channel] = 0.8
    before, after = concentrations(stained()), concentrations(perturb_stain(stained(), scales, [0, 0, 0]))
    inside = (before > 1e-3).all(axis=-1) & (after > 1e-3).all(axis=-1)  # scikit-image clips what is negative
    assert inside.sum() > 20
    np.testing.assert_allclose(after[inside], before[inside] * scales, atol=1e-4)


def test_more_stain_is_darker_and_colours_stay_in_range():
    darker = perturb_stain(stained(), [1.5, 1.5, 1.0], [0.1, 0.1, 0])
    assert (darker <= stained()).all()
    extreme = perturb_stain(torch.tensor([0.0, 128.0, 255.0])[:, None, None], [3, 3, 3], [-1, -1, -1])
    assert torch.isfinite(extreme).all()
    assert (extreme.min(), extreme.max()) >= (0, 0)
    assert extreme.max() <= 255


def test_same_seed_gives_the_same_stain_and_prob_zero_none():
    image = MetaTensor(stained(), meta={"filename_or_obj": "a.tiff"})
    first, second = (RandStaind("image", prob=1.0).set_random_state(seed=3)({"image": image}) for _ in range(2))
    assert torch.equal(first["image"], second["image"])
    assert not torch.equal(first["image"].as_tensor(), image.as_tensor())
    assert first["image"].meta["filename_or_obj"] == "a.tiff"
    assert RandStaind("image", prob=0.0)({"image": image})["image"] is image
