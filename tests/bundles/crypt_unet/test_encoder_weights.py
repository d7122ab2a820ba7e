"""Pretrained encoders come from a file, a package or a hub when a training starts, and only then."""

import pytest
import torch
from crypt_unet.common.errors import InputError
from crypt_unet.common.training import encoder_weights
from crypt_unet.common.training.encoder_weights import EncoderWeightsLoader
from crypt_unet.network import CryptNet
from segmentation_models_pytorch.encoders import get_encoder


@pytest.fixture
def network() -> CryptNet:
    return CryptNet("unet", "resnet18")


def no_connection(name: str, weights: str):
    raise OSError("We couldn't connect to the hub")


def test_weights_go_into_the_encoder(network, monkeypatch, tmp_path):
    pretrained = get_encoder("resnet18", weights=None)
    monkeypatch.setattr(encoder_weights, "get_encoder", lambda name, weights: pretrained)
    EncoderWeightsLoader(network, "imagenet", tmp_path / "resume.pt")()
    assert torch.equal(network.body.encoder.conv1.weight, pretrained.conv1.weight)


def test_weights_that_the_encoder_does_not_have(network, tmp_path):
    with pytest.raises(InputError, match=r"--encoder_weights imagenett: .*Available options.*encoder_weights none"):
        EncoderWeightsLoader(network, "imagenett", tmp_path / "resume.pt")()


def test_nothing_is_fetched_for_none_nor_when_a_training_goes_on(network, monkeypatch, tmp_path):
    monkeypatch.setattr(encoder_weights, "get_encoder", no_connection)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    EncoderWeightsLoader(network, "none", tmp_path / "resume.pt")()
    (tmp_path / "resume.pt").touch()
    EncoderWeightsLoader(network, "imagenet", tmp_path / "resume.pt")()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_unetr_says_that_it_has_none(tmp_path, caplog):
    EncoderWeightsLoader(CryptNet("unetr", patch_size=(64, 64)), "imagenet", tmp_path / "resume.pt")()
    assert "unetr has no pretrained encoder" in caplog.text
