"""Test-time augmentation by flips."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer

__all__ = ["FlipInferer"]

# axes of (B, C, Y, X); each flip undoes itself
FLIPS = ((), (-2,), (-1,), (-2, -1))


class FlipInferer(Inferer):
    """Mean of a network's logits over what it is shown and its three flips.

    Each window that another inferer slides over the image is flipped, not the image: so a part of an image that is cut
    into the same windows has the same logits as in the image.

    Parameters
    ----------
    inferer : Inferer
        What calls the network.
    enabled : bool
        False shows the network what ``inferer`` does, once, as it is.
    """

    def __init__(self, inferer: Inferer, enabled: bool = True) -> None:
        super().__init__()
        self.inferer, self.flips = inferer, FLIPS if enabled else FLIPS[:1]

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args, **kwargs) -> torch.Tensor:
        """Logits (B, 1, Y, X) of a batch (B, C, Y, X); the network keeps height and width."""

        def flipping(window: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
            views = (network(window.flip(flip), *args, **kwargs).flip(flip) for flip in self.flips)
            return functools.reduce(torch.add, views) / len(self.flips)

        return self.inferer(inputs, flipping, *args, **kwargs)
