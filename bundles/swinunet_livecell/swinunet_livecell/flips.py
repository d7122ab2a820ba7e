"""Test-time augmentation by flips."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer

__all__ = ["FlipInferer"]

# axes of (B, C, Y, X); each flip undoes itself
FLIPS = ((), (-2,), (-1,), (-2, -1))


class FlipInferer(Inferer):
    """Mean of another inferer's logits over the image and its three flips.

    Parameters
    ----------
    inferer : Inferer
        What calls the network.
    enabled : bool
        False calls ``inferer`` once, as it is.
    """

    def __init__(self, inferer: Inferer, enabled: bool = True) -> None:
        super().__init__()
        self.inferer, self.flips = inferer, FLIPS if enabled else FLIPS[:1]

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args, **kwargs) -> torch.Tensor:
        """Logits of a batch.

        Parameters
        ----------
        inputs : Tensor of float, shape (B, C, Y, X)
        network : Module
            Gives logits of the same height and width.

        Returns
        -------
        Tensor of float, shape (B, 1, Y, X)
        """
        views = (self.inferer(inputs.flip(flip), network, *args, **kwargs).flip(flip) for flip in self.flips)
        return functools.reduce(torch.add, views) / len(self.flips)
