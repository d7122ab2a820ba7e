"""All architectures keep the size, scale colours themselves, and refuse what they cannot be built from."""

import pytest
import torch
from crypt_unet.common.errors import InputError
from crypt_unet.common.networks.encoders import parameter_groups
from crypt_unet.network import ARCHITECTURES, CryptNet
from torch import nn

LIGHT = {"unet": "resnet18", "unetpp": "resnet18", "deeplabv3plus": "resnet18", "unetr": "default"}


def build(architecture: str = "unet", **options) -> CryptNet:
    return CryptNet(architecture, **{"encoder": LIGHT[architecture], "patch_size": (64, 64)} | options).eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("size", [(64, 64), (50, 33), (1, 1)])
def test_logits_have_the_size_of_the_image(architecture, size):
    with torch.inference_mode():
        assert build(architecture)(torch.zeros(2, 3, *size)).shape == (2, 2, *size)


@pytest.mark.parametrize("architecture", ["unet", "unetpp", "deeplabv3plus"])
def test_default_encoders_are_those_of_the_issue(architecture):
    assert CryptNet(architecture).encoder_name == ARCHITECTURES[architecture]


def test_unetr_has_the_published_shape():
    body = build("unetr").body
    assert (body.hidden_size, body.num_layers, len(body.vit.blocks)) == (384, 12, 12)
    assert body.vit.blocks[0].attn.num_heads == 6
    assert body.vit.blocks[0].mlp.linear1.out_features == 768


def test_colours_are_scaled_inside_as_the_encoder_expects():
    class Echo(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image

    network = build()
    network.body = Echo()
    white = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
    scaled = network(white)[0, :, 0, 0]
    expected = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(scaled, expected)
    for encoder in ("tu-xception41", "timm-tf_efficientnet_lite0"):
        network = CryptNet("unet", encoder)
        assert network.mean.flatten().tolist() == network.std.flatten().tolist() == [127.5] * 3


def test_encoder_learns_at_a_rate_of_its_own():
    network = build()
    groups = parameter_groups(network, 0.25)
    assert [group.get("lr") for group in groups] == [None, 0.25]
    assert {id(parameter) for parameter in groups[1]["params"]} == {id(p) for p in network.body.encoder.parameters()}
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    assert [group.get("lr") for group in parameter_groups(build("unetr"), 0.25)] == [None]


def test_running_statistics_follow_a_short_training():
    assert {module.momentum for module in CryptNet().modules() if isinstance(module, nn.BatchNorm2d)} == {0.1}


def test_weights_hold_nothing_but_weights():
    assert all(name.startswith("body.") for name in build().state_dict())


def test_unetr_refuses_what_is_larger_than_it_was_built_for():
    with pytest.raises(InputError, match="unetr was built for 64 x 64 pixels, got 65 x 64"):
        build("unetr")(torch.zeros(1, 3, 65, 64))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "unnet"}, "--architecture unnet: unknown; choose one of unet, unetpp"),
        ({"encoder": "resnet19"}, "--encoder resnet19: does not fit unet; did you mean resnet18 or"),
        ({"encoder": "xception"}, "--encoder xception: .* take timm's, tu-xception"),
        ({"architecture": "unetr", "encoder": "resnet18"}, "unetr has an encoder of its own"),
        ({"architecture": "unetr", "patch_size": (50, 64)}, "unetr needs multiples of 32"),
    ],
)
def test_what_cannot_be_built(options, message):
    with pytest.raises(InputError, match=message):
        CryptNet(**options)


def test_every_parameter_that_can_be_trained_is():
    """Otherwise a training over several processes stops at its second step."""
    network = CryptNet("unet", "timm-tf_efficientnet_lite0").train()
    network(torch.rand(2, 3, 32, 32) * 255).square().mean().backward()
    assert {name for name, p in network.named_parameters() if p.requires_grad and p.grad is None} == set()
