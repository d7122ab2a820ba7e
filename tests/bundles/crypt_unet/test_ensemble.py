"""Members of an ensemble come with their own weights, or are refused by name."""

import pytest
import torch
from crypt_unet.common.errors import InputError
from crypt_unet.ensemble import load_members
from crypt_unet.network import CryptNet


def test_members_carry_their_weights_and_are_ready_to_infer(tmp_path):
    weights = CryptNet("unet", "resnet18").state_dict()
    torch.save(weights, tmp_path / "a.pt")
    (member,) = load_members([{"encoder": "resnet18", "ckpt_path": str(tmp_path / "a.pt")}], torch.device("cpu"))
    assert not member.training
    assert all(torch.equal(value, weights[name]) for name, value in member.state_dict().items())


def test_no_members():
    assert load_members([], torch.device("cpu")) == []


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ("model.pt", "expected a list of mappings"),
        (["model.pt"], "expected a list of mappings"),
        ([{"architecture": "unet"}], "no ckpt_path in .* a member has architecture, encoder"),
        ([{"ckpt_path": "a.pt", "arch": "unet"}], "unknown arch in"),
        ([{"ckpt_path": "/nowhere/a.pt", "encoder": "resnet18"}], "/nowhere/a.pt: no such checkpoint"),
    ],
)
def test_members_that_cannot_be(members, message):
    with pytest.raises(InputError, match=message):
        load_members(members, torch.device("cpu"))
