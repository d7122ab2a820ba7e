"""How much each slice of a stack counts: gates with a prior over the slices."""

import math

import torch
from torch import nn

from .common.errors import InputError

__all__ = ["PRIORS", "SliceGate", "prior_logits", "squeeze"]

PRIORS = ("zero", "center", "gaussian")

_SQUEEZED = 16  # channels in the middle of a gate
_CENTER_WEIGHT = 0.9  # of the slice in the middle, before training
_DEVIATION = 1.0  # of the bell curve, in slices


def prior_logits(kind: str, num_slices: int) -> torch.Tensor:
    """Logarithms of how much the slices of a stack count before anything is known.

    Parameters
    ----------
    kind : {"zero", "center", "gaussian"}
        All alike; nine tenths for the slice in the middle; a bell curve with a deviation of one slice.
    num_slices : int
        Odd.

    Returns
    -------
    Tensor of float32, shape (num_slices,)
    """
    if kind not in PRIORS:
        raise InputError(f"--slice_prior {kind}: unknown; give one of {', '.join(PRIORS)}")
    distances = torch.arange(num_slices, dtype=torch.float32) - num_slices // 2
    if kind == "gaussian":
        return -0.5 * (distances / _DEVIATION) ** 2
    logits = torch.zeros(num_slices)
    if kind == "center" and num_slices > 1:
        logits[num_slices // 2] = math.log(_CENTER_WEIGHT / (1 - _CENTER_WEIGHT) * (num_slices - 1))
    return logits


def squeeze(channels: int) -> nn.Sequential:
    """Channels to 16 to one number, (B, channels, Y, X) to (B, 1, Y, X)."""
    # no bias at the end: softmax over slices takes out what is added to all of them
    return nn.Sequential(
        nn.Conv2d(channels, _SQUEEZED, 1), nn.ReLU(inplace=True), nn.Conv2d(_SQUEEZED, 1, 1, bias=False)
    )


class SliceGate(nn.Module):
    """Weights of the slices of a stack, that sum to 1: softmax of what a score sees in each slice, plus a prior.

    The prior is a parameter like any other: a bias *inside* the score would be the same for every slice, and softmax
    would take it out. The score begins at zero, so the weights begin as the prior's.

    Parameters
    ----------
    score : Module
        (S, C, y, x) to (S, 1, y, x), whose last convolution has no bias.
    num_slices : int
    prior : {"zero", "center", "gaussian"}
        Where the prior begins.
    """

    def __init__(self, score: nn.Module, num_slices: int, prior: str) -> None:
        super().__init__()
        self.score = score
        self.prior = nn.Parameter(prior_logits(prior, num_slices))
        *_, last = (module for module in score.modules() if isinstance(module, nn.Conv2d))
        nn.init.zeros_(last.weight)

    def forward(self, slices: torch.Tensor, stacks: torch.Tensor) -> torch.Tensor:
        """Weights of every slice in every stack.

        Parameters
        ----------
        slices : Tensor of float, shape (S, C, y, x)
            Every slice once.
        stacks : Tensor of int64, shape (B, n)
            Which slices make a stack.

        Returns
        -------
        Tensor of float, shape (B, n, y, x)
        """
        logits = self.score(slices)[:, 0][stacks]
        return (logits + self.prior[:, None, None]).softmax(dim=1)
