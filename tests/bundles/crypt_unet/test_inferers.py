"""Windows cover the slide, blend without a seam, and are spared where there is no tissue."""

import itertools

import numpy as np
import pytest
import torch
from crypt_unet.inferers import SlideInferer, window_starts
from torch import nn


class Pixelwise(nn.Module):
    """A network that sees single pixels, so that windows must not change its result."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor, self.num_windows, self.shapes = factor, 0, set()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.num_windows += len(image)
        self.shapes.add(tuple(image.shape[2:]))
        return self.factor * (image.mean(dim=1, keepdim=True) - 128) / 32


class LooksRight(nn.Module):
    """A network that is sure of pixels whose right neighbour is brighter: turned, it says something else."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        gray = image.mean(dim=1, keepdim=True)
        return (gray.roll(-1, dims=-1) - gray).sign() * 4


def tissue(height: int, width: int) -> torch.Tensor:
    pixels = torch.randint(70, 200, (3, height, width), generator=torch.Generator().manual_seed(0))
    return pixels.to(torch.uint8)


def infer(slide: torch.Tensor, network: nn.Module, **options) -> torch.Tensor:
    return SlideInferer(**{"roi_size": (32, 32)} | options)(slide[None], network)[0, 0]


@pytest.mark.parametrize("length", [1, 31, 32, 33, 57, 64, 200])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_windows_cover_everything_and_overlap_enough(length, overlap):
    starts = window_starts(length, 32, overlap)
    assert starts[0] == 0
    assert starts[-1] == max(length - 32, 0)
    assert all(0 < second - first <= 32 * (1 - overlap) for first, second in itertools.pairwise(starts))


@pytest.mark.parametrize(("height", "width"), [(100, 75), (32, 32), (33, 90), (90, 33)])
def test_blending_leaves_no_seam(height, width):
    slide = tissue(height, width)
    expected = torch.sigmoid((slide.float().mean(0) - 128) / 32)
    torch.testing.assert_close(infer(slide, Pixelwise()), expected, atol=1e-5, rtol=1e-5)


def test_slide_smaller_than_a_window_is_filled_up(height=20, width=9):
    network = Pixelwise()
    slide = tissue(height, width)
    torch.testing.assert_close(infer(slide, network), torch.sigmoid((slide.float().mean(0) - 128) / 32))
    assert network.shapes == {(32, 32)}


@pytest.mark.parametrize("value", [0, 240], ids=["black", "glass"])
def test_slide_without_tissue_costs_nothing_and_is_empty(value):
    network = Pixelwise()
    result = infer(torch.full((3, 100, 100), value, dtype=torch.uint8), network)
    assert (network.num_windows, result.any().item()) == (0, False)


def test_windows_of_glass_are_skipped_and_those_of_tissue_are_not():
    slide = torch.full((3, 32, 320), 235, dtype=torch.uint8)
    slide[:, :, :32] = tissue(32, 32)
    network = Pixelwise()
    result = infer(slide, network, overlap=0.0)
    assert network.num_windows == 1
    torch.testing.assert_close(result[:, :32], torch.sigmoid((slide[:, :, :32].float().mean(0) - 128) / 32))
    assert not result[:, 32:].any()


def test_nothing_is_found_where_nothing_was_scanned():
    slide = tissue(32, 64)
    slide[:, :, 20:] = 0
    result = infer(slide, Pixelwise(factor=-1))
    assert not result[:, 20:].any()
    assert result[:, :20].all()


def test_flips_are_undone_and_averaged():
    slide = tissue(32, 32)
    single, averaged = (infer(slide, LooksRight(), test_time_augmentation=flag) for flag in (False, True))
    mirrored = infer(slide.flip(-1), LooksRight()).flip(-1)
    torch.testing.assert_close(averaged, (single + mirrored) / 2, msg="flips of Y change nothing for this network")


def test_members_of_an_ensemble_vote_with_equal_weight():
    slide = tissue(40, 40)
    apart = [infer(slide, Pixelwise(factor)) for factor in (1.0, -3.0, 0.5)]
    together = infer(slide, Pixelwise(1.0), members=[Pixelwise(-3.0), Pixelwise(0.5)])
    torch.testing.assert_close(together, sum(apart) / 3)


def test_slides_of_a_batch_do_not_mix():
    slides = torch.stack([tissue(40, 40), tissue(40, 40).flip(-1)])
    both = SlideInferer((32, 32))(slides, Pixelwise())
    np.testing.assert_array_equal(both[0, 0], infer(slides[0], Pixelwise()))
    np.testing.assert_array_equal(both[1, 0], infer(slides[1], Pixelwise()))


def test_channels_are_blended_each_for_itself():
    class Two(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.cat([Pixelwise()(image), Pixelwise(factor=-2.0)(image)], dim=1)

    slide = tissue(50, 70)
    both = SlideInferer((32, 32))(slide[None], Two())
    assert both.shape == (1, 2, 50, 70)
    torch.testing.assert_close(both[0, 0], infer(slide, Pixelwise()))
    torch.testing.assert_close(both[0, 1], infer(slide, Pixelwise(factor=-2.0)))
