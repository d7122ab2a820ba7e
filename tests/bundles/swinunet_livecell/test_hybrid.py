"""Networks on an encoder that knows images give logits of the image's size, and a graph of any size."""

import pytest
import torch
from segmentation_models_pytorch.encoders import get_encoder
from swinunet_livecell.architectures import ARCHITECTURES, build_network
from swinunet_livecell.attention import WindowAttention
from swinunet_livecell.common.errors import InputError
from swinunet_livecell.common.networks.onnx import OnnxNetwork, export_onnx
from swinunet_livecell.common.training.encoder_weights import EncoderWeightsLoader
from swinunet_livecell.hybrid import ENCODER, HybridUNet
from swinunet_livecell.network import CHANNELS
from torch import nn


@pytest.fixture(scope="module")
def network() -> HybridUNet:
    """Not as it starts, where zeros would hide what Swin blocks do."""
    torch.manual_seed(0)
    network = HybridUNet(swin_widths=(16, 16, 8), convolution_widths=(8, 8, 4)).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2)
    return network


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_gives_logits_of_the_size_of_the_image(architecture):
    network = build_network(architecture).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, 50, 33)).shape == (1, len(CHANNELS), 50, 33)


def test_architecture_that_there_is_not():
    with pytest.raises(InputError, match="--architecture swin: unknown; choose one of unet, hybrid, swinunet"):
        build_network("swin")


def test_swin_blocks_work_at_strides_32_16_and_8_of_the_hybrid_alone(network):
    num_windows = {
        name: sum(isinstance(module, WindowAttention) for module in ARCHITECTURES[name]().modules())
        for name in ("hybrid", "unet")
    }
    assert num_windows == {"hybrid": 6, "unet": 0}
    sizes = []
    for module in network.modules():
        if isinstance(module, WindowAttention):
            module.register_forward_hook(lambda _, inputs, __: sizes.append(inputs[0].shape[1:3]))
    with torch.inference_mode():
        network(torch.zeros(1, 1, 64, 96))
    assert sizes == [(2, 3)] * 2 + [(4, 6)] * 2 + [(8, 12)] * 2


def test_what_is_padded_is_cropped_at_the_same_end(network):
    image = torch.rand(1, 1, 64, 64)
    image[..., 40:, :], image[..., 50:] = image[..., 39:40, :], image[..., 49:50]
    with torch.inference_mode():
        torch.testing.assert_close(network(image[..., :40, :50]), network(image)[..., :40, :50])


def test_every_parameter_learns_but_those_of_the_layer_that_gives_no_feature():
    network = HybridUNet(swin_widths=(16, 16, 8), convolution_widths=(8, 8, 4))
    network(torch.rand(2, 1, 64, 64)).sum().backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert without == [f"encoder.{name}" for name in ("conv_head.weight", "bn2.weight", "bn2.bias")]


def test_pretrained_weights_go_into_the_encoder(network, tmp_path):
    weights = get_encoder(ENCODER, weights=None).state_dict()
    torch.save(weights, tmp_path / "encoder.pt")
    other = HybridUNet(swin_widths=(16, 16, 8), convolution_widths=(8, 8, 4))
    EncoderWeightsLoader(other, str(tmp_path / "encoder.pt"), tmp_path / "resume.pt")()
    assert torch.equal(other.encoder.conv_stem.weight, weights["conv_stem.weight"])


def test_graph_of_one_size_is_right_for_others(network, tmp_path):
    export_onnx(network, tmp_path / "model.onnx", (1, 1, 75, 99))
    graph = OnnxNetwork(tmp_path / "model.onnx", {})
    for shape in ((1, 1, 96, 320), (2, 1, 28, 28), (1, 1, 300, 27)):
        image = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            torch.testing.assert_close(graph(image), network(image), rtol=0, atol=1e-4)
