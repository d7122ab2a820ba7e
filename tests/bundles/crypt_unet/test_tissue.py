"""Tissue is told from glass and from what was never scanned."""

import pytest
import torch
from crypt_unet.tissue import has_data, is_tissue


def colour(*rgb: int) -> torch.Tensor:
    return torch.tensor(rgb, dtype=torch.uint8)[:, None, None]


@pytest.mark.parametrize("rgb", [(150, 80, 160), (220, 180, 215), (90, 60, 100), (200, 200, 160)])
def test_stained_pixels_are_tissue(rgb):
    assert is_tissue(colour(*rgb)).item()


@pytest.mark.parametrize("rgb", [(255, 255, 255), (225, 222, 228), (190, 188, 195), (0, 0, 0), (40, 30, 50)])
def test_glass_and_black_are_not(rgb):
    assert not is_tissue(colour(*rgb)).item()


def test_only_pure_black_was_never_scanned():
    assert not has_data(colour(0, 0, 0)).item()
    assert has_data(colour(0, 0, 1)).item()


@pytest.mark.parametrize(("brightest", "expected"), [(60, False), (61, True)])
def test_what_is_as_bright_as_the_level_is_black(brightest, expected):
    assert is_tissue(colour(brightest, 40, 50)).item() == expected
