"""Filters learned on RGB are kept, and weights that cannot be had are told in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from maskrcnn_2p5d.backbones import LEVELS, EncoderWeightsLoader, gray_fpn, load_encoder_weights
from maskrcnn_2p5d.common.errors import InputError
from torchvision.models import ResNet18_Weights, get_model
from torchvision.models._api import WeightsEnum
from torchvision.models.detection.backbone_utils import BackboneWithFPN


@pytest.fixture(scope="module")
def rgb() -> torch.nn.Module:
    """Stands in for a ResNet that was trained on photographs."""
    return get_model("resnet18", weights=None)


@pytest.fixture(scope="module")
def weights(rgb, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(rgb.state_dict(), path)
    return path


def load_into_new(weights: str | Path, in_channels: int = 1) -> BackboneWithFPN:
    backbone = gray_fpn("resnet18", in_channels, 8)
    load_encoder_weights(backbone, "resnet18", str(weights))
    return backbone


def test_one_gray_channel_responds_like_a_gray_photograph(rgb, weights):
    gray = torch.rand(2, 1, 33, 32)
    response = load_into_new(weights).body.conv1(gray)
    torch.testing.assert_close(response, rgb.conv1(gray.repeat(1, 3, 1, 1)), atol=1e-5, rtol=1e-4)


def test_equal_slices_as_channels_respond_like_a_gray_photograph(rgb, weights):
    gray = torch.rand(2, 1, 33, 32)
    response = load_into_new(weights, 5).body.conv1(gray.repeat(1, 5, 1, 1))
    torch.testing.assert_close(response, rgb.conv1(gray.repeat(1, 3, 1, 1)), atol=1e-5, rtol=1e-4)


def test_other_layers_are_taken_as_they_are(rgb, weights):
    body = load_into_new(weights).body
    names = [name for name in body.state_dict() if name != "conv1.weight"]
    assert len(names) == len(rgb.state_dict()) - 3  # the classifier has no place
    assert all(torch.equal(body.state_dict()[name], rgb.state_dict()[name]) for name in names)


def test_imagenet_weights_are_fetched_from_torchvision(rgb, monkeypatch):
    monkeypatch.setattr(
        WeightsEnum, "get_state_dict", lambda self, **options: {ResNet18_Weights.IMAGENET1K_V1: rgb}[self].state_dict()
    )
    body = load_into_new("imagenet").body
    assert torch.equal(body.layer4[1].conv2.weight, rgb.layer4[1].conv2.weight)


def test_without_a_connection_the_ways_out_are_named(monkeypatch):
    def no_connection(self, **options):
        raise OSError("Name or service not known")

    monkeypatch.setattr(WeightsEnum, "get_state_dict", no_connection)
    with pytest.raises(
        InputError, match="imagenet weights of resnet18 cannot be fetched .*--encoder_weights none.*PATH"
    ):
        load_into_new("imagenet")


def test_random_filters_differ_between_slices():
    filters = gray_fpn("resnet18", 3, 8).body.conv1.weight
    assert not torch.equal(filters[:, 0], filters[:, 1])


@pytest.mark.parametrize(
    ("layers", "trained"),
    [(0, set()), (2, {"layer4", "layer3"}), (5, {"layer4", "layer3", "layer2", "layer1", "conv1", "bn1"})],
)
def test_the_last_layers_are_trained_first(layers, trained):
    fpn = gray_fpn("resnet18", 1, 8, trainable_layers=layers)
    assert {name.split(".")[0] for name, value in fpn.body.named_parameters() if value.requires_grad} == trained
    assert all(value.requires_grad for value in fpn.fpn.parameters())


def test_levels_have_strides_4_to_64():
    features = gray_fpn("resnet18", 1, 8)(torch.zeros(1, 1, 64, 128))
    assert list(features) == list(LEVELS)
    assert [tuple(maps.shape) for maps in features.values()] == [
        (1, 8, 64 // stride, 128 // stride) for stride in (4, 8, 16, 32, 64)
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "vgg"}, "--backbone vgg: unknown; give one of resnet18, resnet50"),
        ({"trainable_layers": 6}, "--trainable_layers 6: give 0 .* to 5"),
    ],
)
def test_bad_knobs(options, message):
    with pytest.raises(InputError, match=message):
        gray_fpn(**{"name": "resnet18", "in_channels": 1, "out_channels": 8} | options)


def test_a_word_that_is_no_file():
    with pytest.raises(InputError, match="--encoder_weights imagenett: no such file; give none, imagenet, or the path"):
        load_into_new("imagenett")


def test_weights_of_another_network_change_nothing(weights):
    backbone = gray_fpn("resnet50", 1, 8)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    with pytest.raises(InputError, match="of another network than --backbone resnet50: "):
        load_encoder_weights(backbone, "resnet50", str(weights))
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_a_training_that_starts_takes_weights_and_one_that_goes_on_fetches_none(rgb, weights, tmp_path, monkeypatch):
    network = torch.nn.Module()
    network.backbone = gray_fpn("resnet18", 1, 8)
    resume = tmp_path / "resume.pt"
    EncoderWeightsLoader(network, "resnet18", "none", resume)()
    assert not torch.equal(network.backbone.body.layer4[1].conv2.weight, rgb.layer4[1].conv2.weight)
    EncoderWeightsLoader(network, "resnet18", str(weights), resume)()
    assert torch.equal(network.backbone.body.layer4[1].conv2.weight, rgb.layer4[1].conv2.weight)
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda self, **options: pytest.fail("fetched"))
    resume.touch()
    EncoderWeightsLoader(network, "resnet18", "imagenet", resume)()


@pytest.mark.parametrize(
    ("content", "message"), [(b"<html>", "damaged, or not a PyTorch checkpoint"), (None, "not a plain state_dict")]
)
def test_files_that_are_no_weights(tmp_path, content, message):
    path = tmp_path / "weights.pth"
    torch.save([1], path) if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_into_new(path)
