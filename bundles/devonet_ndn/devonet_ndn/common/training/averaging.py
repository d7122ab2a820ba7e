"""An average of the weights over the last steps of a training, which validates steadier than the weights themselves."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

__all__ = ["WeightAverage"]


class WeightAverage:
    """Exponential moving average of a network's weights and of the statistics of its normalization.

    Batch normalization keeps statistics of the last ten steps or so. With batches as small as volumes allow, they are
    noisy, and so is every score that is measured with them, even where the weights have come to rest.

    Parameters
    ----------
    network : Module
        The one that is trained, bare.
    decay : float
        Share of the average that a step leaves, in [0, 1): it reaches back about ``1 / (1 - decay)`` steps. The first
        steps leave less, so that nothing of random weights stays in the average of a short training.

    Raises
    ------
    ValueError
        If the decay is outside of [0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"the decay of the average is {decay}, expected 0 <= decay < 1")

        def average(averaged: Sequence[torch.Tensor], current: Sequence[torch.Tensor], num_averaged: Any) -> None:
            steps = float(num_averaged)
            get_ema_multi_avg_fn(min(decay, (1 + steps) / (10 + steps)))(averaged, current, num_averaged)

        self.network = network
        self._average = AveragedModel(network, multi_avg_fn=average, use_buffers=True)

    def update(self) -> None:
        """Take in the weights after a step; the first ones are the average's own."""
        self._average.update_parameters(self.network)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the network's weights with the average's; call it again to change them back."""
        average = self.weights()
        for name, value in self.network.state_dict().items():
            kept = value.clone()
            value.copy_(average[name])
            average[name].copy_(kept)

    def weights(self) -> dict[str, torch.Tensor]:
        """The averaged weights, under the network's names; not copied."""
        return self._average.module.state_dict()

    def state_dict(self) -> dict[str, Any]:
        """All that an average needs to go on."""
        return self._average.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._average.load_state_dict(state)
