"""DevoNet: its sizes, its structure as the paper draws it, and inputs of any size."""

import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from common.networks.devonet import DevoNet


def small(**options) -> DevoNet:
    return DevoNet(**{"init_channels": 2} | options).eval()


def num_parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_nsn_has_the_published_number_of_parameters():
    assert num_parameters(DevoNet()) == 1_147_618


def test_ndn_is_the_same_class_with_44_million_parameters():
    with torch.device("meta"):
        network = DevoNet(depth=4, kernel_size=5, init_channels=12)
    assert num_parameters(network) == pytest.approx(44.45e6, rel=1e-3)


def test_convolutions_are_those_of_the_description():
    c = 16  # NSN, written down level by level
    expected = [
        (1, c), (c, 2 * c),                                                    # level 0
        (2 * c, 2 * c), (2 * c, 4 * c),                                        # level 1
        (4 * c, 4 * c), (4 * c, 8 * c),                                        # level 2
        (8 * c + 4 * c, 4 * c), (4 * c, 4 * c),                                # up to level 1, concatenated
        (4 * c + 2 * c, 2 * c), (2 * c, 2 * c),                                # up to level 0
        (2 * c, 2),                                                            # head
    ]  # fmt: skip
    called = []
    network = DevoNet().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv3d):
            module.register_forward_hook(lambda conv, *_: called.append((conv.in_channels, conv.out_channels)))
    with torch.no_grad():
        network(torch.zeros(1, 1, 4, 4, 4))
    assert called == expected


def test_agrees_with_a_straightforward_forward_pass():
    network, image = small(), torch.rand(1, 1, 8, 12, 4)

    def convolve(x, block, index):
        return F.relu(block[index + 1](F.conv3d(x, block[index].weight, block[index].bias, padding=1)))

    def twice(x, block):
        return convolve(convolve(x, block, 0), block, 3)

    with torch.no_grad():
        level0 = twice(image, network.encoder[0])
        level1 = twice(F.max_pool3d(level0, 2), network.encoder[1])
        level2 = twice(F.max_pool3d(level1, 2), network.encoder[2])
        up1 = twice(torch.cat([network.upsample[0](level2), level1], dim=1), network.decoder[0])
        up0 = twice(torch.cat([network.upsample[1](up1), level0], dim=1), network.decoder[1])
        torch.testing.assert_close(network(image), network.head(up0))


def test_every_convolution_but_the_head_is_normalised_and_biased():
    modules = list(DevoNet().modules())
    convolutions = [module for module in modules if isinstance(module, torch.nn.Conv3d)]
    normalisations = [module for module in modules if isinstance(module, torch.nn.BatchNorm3d)]
    assert [conv.out_channels for conv in convolutions[:-1]] == [norm.num_features for norm in normalisations]
    assert all(conv.bias is not None for conv in convolutions)


def test_weights_have_the_variance_of_he():
    convolution = DevoNet().decoder[0][0]
    assert convolution.weight.std().item() == pytest.approx(math.sqrt(2 / (192 * 27)), rel=0.02)
    assert not convolution.bias.any()


sizes = st.tuples(*[st.integers(1, 9)] * 3)


@settings(max_examples=25)
@given(sizes, st.integers(1, 2))
def test_logits_have_the_size_of_any_image(size, batch):
    with torch.no_grad():
        assert small()(torch.rand(batch, 1, *size)).shape == (batch, 2, *size)


@settings(max_examples=25)
@given(sizes)
def test_logits_are_those_of_the_image_with_its_border_repeated(size):
    network, image = small(), torch.rand(1, 1, *size)
    indices = [torch.arange(length + -length % 4).clamp(max=length - 1) for length in size]
    padded = image[:, :, indices[0]][:, :, :, indices[1]][:, :, :, :, indices[2]]
    with torch.no_grad():
        torch.testing.assert_close(network(image), network(padded)[..., : size[0], : size[1], : size[2]])


def trace(network: torch.nn.Module) -> torch.nn.Module:
    return torch.jit.trace(network, torch.rand(1, 1, 9, 10, 11))


@pytest.mark.parametrize("compile_network", [torch.jit.script, trace])
def test_torchscript_agrees_at_another_size_than_it_was_traced_at(compile_network):
    network, image = small(), torch.rand(1, 1, 5, 13, 6)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch 2.15 deprecates TorchScript
        torch.testing.assert_close(compile_network(network)(image), network(image))


def test_even_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel_size is 4, expected an odd number"):
        DevoNet(kernel_size=4)


def test_network_without_levels_is_refused():
    with pytest.raises(ValueError, match="depth is 0, expected at least 1"):
        DevoNet(depth=0)
