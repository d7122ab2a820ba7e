"""The network has the published size, keeps that of the image, and can be exported."""

import numpy as np
import pytest
import torch
from swinunet_livecell.network import CHANNELS, PatchExpanding, SwinUNet
from torchvision.models.swin_transformer import PatchMerging, SwinTransformerBlock


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def network() -> SwinUNet:
    torch.manual_seed(0)
    return SwinUNet().eval()


def test_size_is_that_of_the_original(network):
    assert count(network) == 3_040_091
    assert 3.0e6 <= count(network) <= 3.1e6


def test_blocks_are_pairs_of_windows_in_place_and_shifted(network):
    blocks = [module for module in network.modules() if isinstance(module, SwinTransformerBlock)]
    assert [block.attn.shift_size for block in blocks] == [[0, 0], [3, 3]] * 7
    assert {tuple(block.attn.window_size) for block in blocks} == {(7, 7)}
    assert {block.attn.num_heads for block in blocks} == {4}
    assert sorted({block.norm1.normalized_shape[0] for block in blocks}) == [32, 64, 128, 256]
    assert count(network.bottleneck) == pytest.approx(1.58e6, rel=0.01)


@pytest.mark.parametrize("size", [(32, 32), (50, 33), (1, 1)])
def test_logits_have_the_size_of_the_image(network, size):
    with torch.inference_mode():
        assert network(torch.zeros(2, 1, *size)).shape == (2, len(CHANNELS), *size)


def test_what_is_padded_is_cropped_at_the_same_end(network):
    image = torch.rand(1, 1, 64, 64)
    image[..., 40:, :], image[..., 50:] = image[..., 39:40, :], image[..., 49:50]
    with torch.inference_mode():
        torch.testing.assert_close(network(image[..., :40, :50]), network(image)[..., :40, :50])


def test_images_of_a_batch_do_not_see_each_other(network):
    images = torch.rand(2, 1, 32, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network(images)[1:], network(images[1:]))


def test_every_parameter_learns():
    network = SwinUNet()
    network(torch.rand(1, 1, 64, 64)).sum().backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def test_expanding_puts_a_patch_where_merging_took_it_from():
    features = torch.arange(2 * 3, dtype=torch.float32).reshape(1, 2, 3, 1)
    expanding = PatchExpanding(1, 1, scale=2)
    expanding.norm = torch.nn.Identity()
    torch.nn.init.ones_(expanding.expand.weight)
    with torch.inference_mode():
        expanded = expanding(features)
        np.testing.assert_array_equal(
            expanded[0, ..., 0], features[0, ..., 0].repeat_interleave(2, 0).repeat_interleave(2, 1)
        )
        assert PatchMerging(4)(torch.zeros(1, 4, 6, 4)).shape == (1, 2, 3, 8)
