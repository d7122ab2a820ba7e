"""Starting from other weights."""

import logging

import pytest
import torch
from torch import nn

from common.errors import InputError
from common.training.finetuning import FinetuneLoader, freeze


def make_network(out_channels: int = 2) -> nn.Module:
    network = nn.Sequential()
    network.encoder = nn.Sequential(nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4))
    network.head = nn.Conv3d(4, out_channels, 1)
    return network


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "model.pt"
    torch.save(make_network().state_dict(), path)
    return path


def test_all_layers_of_the_same_network_are_taken_over(checkpoint, caplog):
    network = make_network()
    with caplog.at_level(logging.INFO):
        FinetuneLoader(checkpoint, network, "cpu")()
    for name, value in torch.load(checkpoint, weights_only=True).items():
        assert torch.equal(network.state_dict()[name], value)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_layers_that_do_not_fit_are_listed_and_left_alone(checkpoint, caplog):
    network = make_network(out_channels=5)
    network.extra = nn.Linear(2, 2)
    head = network.head.weight.clone()
    with caplog.at_level(logging.WARNING):
        FinetuneLoader(checkpoint, network, "cpu")()
    assert torch.equal(network.head.weight, head)
    saved = torch.load(checkpoint, weights_only=True)
    assert torch.equal(network.encoder[0].weight, saved["encoder.0.weight"])
    listed = [record.getMessage() for record in caplog.records]
    assert [message.split(": ")[1].split(",")[0] for message in listed] == [
        *("head.weight", "head.bias", "extra.weight", "extra.bias")
    ]
    assert "(2, 4, 1, 1, 1) in the file and (5, 4, 1, 1, 1) in the network" in listed[0]


def test_layer_that_the_network_lacks_is_listed(checkpoint, caplog):
    network = make_network()
    del network.head
    with caplog.at_level(logging.WARNING):
        FinetuneLoader(checkpoint, network, "cpu")()
    assert "head.weight, (2, 4, 1, 1, 1) in the file and nothing in the network" in caplog.text


def test_none_keeps_the_network(caplog):
    network = make_network()
    before = network.head.weight.clone()
    FinetuneLoader("none", network, "cpu")()
    assert torch.equal(network.head.weight, before)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such checkpoint.*--finetune_checkpoint"),
        ("text", "damaged"),
        ({"network": {}, "epoch": 3}, "not a plain state_dict"),
        ({"stem.weight": torch.zeros(3)}, "none of its 1 tensors fits"),
        ({}, "none of its 0 tensors fits"),
    ],
)
def test_useless_file_is_refused_and_the_network_kept(tmp_path, content, message):
    path = tmp_path / "weights.pt"
    if isinstance(content, str):
        path.write_text(content)
    elif content is not None:
        torch.save(content, path)
    network = make_network()
    before = network.head.weight.clone()
    with pytest.raises(InputError, match=message):
        FinetuneLoader(path, network, "cpu")()
    assert torch.equal(network.head.weight, before)


def train_one_step(network: nn.Module) -> dict[str, torch.Tensor]:
    """State before a step with weight decay; the network is in training mode, as MONAI's trainer sets it."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.1)
    network.train()
    features = network.encoder(torch.rand(2, 1, 6, 6, 6))
    network.head(features).square().mean().backward()
    optimizer.step()
    return before


def test_frozen_layers_and_their_statistics_stay_and_others_are_trained():
    network = freeze(make_network(), "encoder")
    before = train_one_step(network)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"head.weight", "head.bias"}


def test_statistics_follow_the_data_where_the_layer_is_trained():
    network = freeze(make_network(), "encoder.0")
    before = train_one_step(network)
    assert not torch.equal(network.encoder[1].running_mean, before["encoder.1.running_mean"])
    assert torch.equal(network.encoder[0].weight, before["encoder.0.weight"])


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("decoder", "begin with encoder, head"),
        ("ead", "no parameter begins like this"),
        (".*", "leaves nothing to train"),
        ("(", "not a regular expression"),
        (5, "not a regular expression"),
    ],
)
def test_pattern_that_cannot_be_meant_is_refused(pattern, message):
    with pytest.raises(InputError, match=message):
        freeze(make_network(), pattern)
