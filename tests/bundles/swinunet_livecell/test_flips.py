"""Flips: an image and its mirror get mirrored results, and nothing changes for a network that does not mind."""

import pytest
import torch
from monai.inferers import SimpleInferer
from swinunet_livecell.flips import FlipInferer
from torch import nn

IMAGE = torch.randn(2, 1, 6, 9, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network() -> nn.Module:
    """A convolution that tells left from right and up from down."""
    torch.manual_seed(0)
    return nn.Conv2d(1, 1, 3, padding=1)


@pytest.mark.parametrize("axes", [(-1,), (-2,), (-1, -2)])
def test_the_mirror_image_gets_the_mirrored_logits(network, axes):
    infer = FlipInferer(SimpleInferer())
    torch.testing.assert_close(infer(IMAGE.flip(axes), network), infer(IMAGE, network).flip(axes))
    assert not torch.allclose(network(IMAGE.flip(axes)), network(IMAGE).flip(axes))


def test_a_network_without_directions_gives_what_it_gives():
    torch.testing.assert_close(FlipInferer(SimpleInferer())(IMAGE, torch.tanh), torch.tanh(IMAGE))


def test_switched_off_it_is_the_inferer_alone(network):
    calls = []

    def count(image: torch.Tensor) -> torch.Tensor:
        calls.append(image)
        return network(image)

    torch.testing.assert_close(FlipInferer(SimpleInferer(), enabled=False)(IMAGE, count), network(IMAGE))
    assert len(calls) == 1
