"""The average of weights: what it holds, and that it is what a training validates and keeps."""

import pytest
import torch
from torch import nn

from common.training.averaging import WeightAverage


def test_a_step_leaves_the_decays_share_of_the_average():
    network = nn.Linear(1, 1, bias=False)
    average = WeightAverage(network, 0.1)
    for weight in (8.0, 4.0, 0.0):
        nn.init.constant_(network.weight, weight)
        average.update()
    assert average.weights()["weight"].item() == pytest.approx((8 * 0.1 + 4 * 0.9) * 0.1)


def test_statistics_of_the_normalization_are_averaged_too():
    network = nn.BatchNorm1d(1, momentum=1.0)  # keeps what the last batch had
    average = WeightAverage(network, 0.1)
    for mean in (2.0, 4.0):
        network(mean + torch.tensor([[-1.0], [1.0]]))
        average.update()
    assert network.running_mean.item() == 4
    assert average.weights()["running_mean"].item() == pytest.approx(2 * 0.1 + 4 * 0.9)


def test_little_of_the_first_weights_stays_in_a_short_training():
    network = nn.Linear(1, 1, bias=False)
    average = WeightAverage(network, 0.999)
    for weight in [1.0] + 20 * [0.0]:
        nn.init.constant_(network.weight, weight)
        average.update()
    assert average.weights()["weight"].item() < 1e-3


def test_swapped_twice_all_is_as_before():
    network = nn.BatchNorm1d(2)
    average = WeightAverage(network, 0.5)
    network(torch.arange(6.0).reshape(3, 2))
    trained, averaged = (
        {k: v.clone() for k, v in state.items()} for state in (network.state_dict(), average.weights())
    )
    average.swap()
    torch.testing.assert_close(dict(network.state_dict()), averaged, rtol=0, atol=0)
    average.swap()
    torch.testing.assert_close(dict(network.state_dict()), trained, rtol=0, atol=0)
    torch.testing.assert_close(dict(average.weights()), averaged, rtol=0, atol=0)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_no_average_with_such_a_decay(decay):
    with pytest.raises(ValueError, match="expected 0 <= decay < 1"):
        WeightAverage(nn.Linear(1, 1), decay)
