"""The pyramid's levels, and slices that look like photographs to an encoder of photographs."""

import pytest
import torch
from maskrcnn_2p5d.backbones import ENCODERS, LEVELS, GrayFPN


@pytest.mark.parametrize("encoder", ENCODERS)
def test_levels_have_strides_4_to_64(encoder):
    features = GrayFPN(encoder, 1, 8)(torch.zeros(1, 1, 64, 128))
    assert list(features) == list(LEVELS)
    assert [tuple(maps.shape) for maps in features.values()] == [
        (1, 8, 64 // stride, 128 // stride) for stride in (4, 8, 16, 32, 64)
    ]


@pytest.mark.parametrize("in_channels", [1, 5])
def test_equal_slices_look_like_a_gray_photograph(in_channels):
    fpn = GrayFPN("resnet18", in_channels, 8)
    gray = torch.rand(2, 1, 32, 32)
    seen = fpn.colours(gray.expand(-1, in_channels, -1, -1))
    torch.testing.assert_close(seen, gray.expand(-1, 3, -1, -1))


def test_slices_can_be_told_apart_by_what_is_learned():
    fpn = GrayFPN("resnet18", 3, 8)
    fpn.colours(torch.rand(1, 3, 32, 32)).square().sum().backward()
    gradient = fpn.colours.weight.grad
    assert not torch.equal(gradient[:, 0], gradient[:, 1])
