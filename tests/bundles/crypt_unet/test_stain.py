"""Stains change as asked, and nothing else does."""

import numpy as np
import pytest
import torch
from crypt_unet.stain import RandStaind, WarnOfStaind, perturb_stain, unlike_he
from monai.data import MetaTensor
from skimage.color import hed2rgb, rgb2hed


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


def coloured(colour: tuple[int, int, int], seed: int = 0) -> torch.Tensor:
    """Glass, tissue of a colour, and a region that was never released."""
    image = torch.full((3, 60, 60), 240.0)
    noise = 20 * torch.randn(3, 30, 60, generator=torch.Generator().manual_seed(seed))
    image[:, 30:] = torch.tensor(colour)[:, None, None] + noise
    image[:, :, :10] = 0
    return image.clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("colour", [(170, 120, 180), (220, 150, 190), (110, 70, 150), (205, 180, 215)])
def test_slides_between_blue_and_pink_raise_no_warning(colour):
    assert unlike_he(coloured(colour)) is None


@pytest.mark.parametrize(
    ("colour", "reason"),
    [((150, 105, 60), "between blue and pink"), ((90, 150, 140), "between blue and pink"), ((20, 15, 30), "is dark")],
    ids=["brown", "green", "dark field"],
)
def test_slides_of_another_stain_are_told_apart(colour, reason):
    image = coloured(colour)
    if reason == "is dark":
        image[:, :30, 10:] = 12
    assert reason in unlike_he(image)


def test_brown_of_immunohistochemistry_as_scikit_image_mixes_it():
    stains = np.zeros((40, 40, 3))
    stains[..., 0], stains[..., 2] = 0.02, 0.12
    image = torch.from_numpy(np.rint(255 * hed2rgb(stains)).astype(np.uint8)).permute(2, 0, 1)
    assert "another stain" in unlike_he(image)


@pytest.mark.parametrize("value", [0, 245], ids=["black", "glass"])
def test_without_tissue_there_is_nothing_to_judge(value):
    assert unlike_he(torch.full((3, 20, 20), value, dtype=torch.uint8)) is None


def test_warning_names_the_slide_and_changes_nothing(caplog):
    image = MetaTensor(coloured((150, 105, 60)), meta={"filename_or_obj": "/slides/ihc.tiff"})
    assert WarnOfStaind("image")({"image": image})["image"] is image
    assert "/slides/ihc.tiff: only" in caplog.text
