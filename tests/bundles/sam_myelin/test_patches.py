"""Random patches: image and labels stay together, at the magnification of inference."""

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from sam_myelin.common.errors import InputError
from sam_myelin.patches import RandPatchd, patch_affine


@pytest.fixture
def item():
    """Function that makes an item whose image shows its labels, of a certain size of pixels in um."""

    def make(pixel_size_um: float, size: int = 120) -> dict:
        y, x = np.indices((size, size))
        labels = (1 + (y // 20) * 6 + x // 20).astype(np.int32)
        image = MetaTensor(torch.from_numpy(np.repeat(labels[None] * 5, 3, 0)).float())
        image.meta["pixel_size_um"] = pixel_size_um
        return {"image": image, "label": MetaTensor(torch.from_numpy(labels)[None])}

    return make


def inner(labels: torch.Tensor) -> torch.Tensor:
    """Pixels whose neighbours have the same label, where interpolation changes nothing."""
    whole = torch.ones_like(labels, dtype=bool)
    for shift in [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1)]:
        whole &= labels == labels.roll(shift, (-2, -1))
    whole[..., [0, -1], :] = whole[..., [0, -1]] = False
    return whole


def test_image_and_labels_are_cut_alike(item):
    cut = RandPatchd(["image", "label"], size=64, zoom_range=(0.7, 1.5)).set_random_state(seed=1)
    seen = set()
    for _ in range(10):
        patch = cut(item(0.01))
        assert patch["image"].shape == (3, 64, 64) and patch["label"].shape == (1, 64, 64)
        assert set(patch["label"].unique().tolist()) <= set(range(1, 37)), "labels are not interpolated"
        calm = inner(patch["label"])
        torch.testing.assert_close(patch["image"][:1][calm], patch["label"][calm] * 5, atol=1e-2, rtol=0)
        seen.add(tuple(patch["label"].unique().tolist()))
    assert len(seen) > 5


@pytest.mark.parametrize(("pixel_size_um", "magnification"), [(0.01, 1), (0.05, 2), (1.0, 4), (math.nan, 1)])
def test_patches_are_magnified_as_tiles_are(pixel_size_um, magnification):
    """By the slope of a ramp, whichever way it is turned."""
    ramp = MetaTensor(torch.arange(200.0).expand(3, 200, 200), meta={"pixel_size_um": pixel_size_um})
    cut = RandPatchd("image", size=80, zoom_range=(1, 1)).set_random_state(seed=2)
    for _ in range(5):
        down, right = torch.gradient(cut({"image": ramp})["image"][0])
        assert torch.hypot(down, right).median() == pytest.approx(1 / magnification, rel=1e-3)


@pytest.mark.parametrize("mirrored", [False, True])
def test_middle_of_a_patch_is_where_it_was_asked_for(mirrored):
    matrix = patch_affine((30, 70), (101, 201), zoom=2, angle=0.3, mirrored=mirrored)
    np.testing.assert_allclose(matrix @ [0, 0, 1], [30 - 50, 70 - 100, 1])
    assert np.linalg.det(matrix[:2, :2]) == pytest.approx(-0.25 if mirrored else 0.25)


@pytest.mark.parametrize("zoom_range", [(0, 1), (2, 1)])
def test_impossible_magnifications(zoom_range):
    with pytest.raises(InputError, match="--zoom_range .* expected two positive numbers, the smaller one first"):
        RandPatchd("image", 64, zoom_range)
