"""A contrast that is learned with the network."""

import torch
from torch import nn

__all__ = ["LearnedContrast"]

# below it the power is taken as constant: its slope at 0 is infinite for gamma < 1
_DIMMEST = 1e-3


class LearnedContrast(nn.Module):
    """``contrast * sign(x) * |x| ** gamma``, both learned, both positive, both 1 at first.

    The background stays 0, whatever is learned.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_gamma = nn.Parameter(torch.zeros(()))
        self.log_contrast = nn.Parameter(torch.zeros(()))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Tensor of float of any shape, background 0; the same shape comes back."""
        bend = image.abs().clamp(min=_DIMMEST) ** (self.log_gamma.exp() - 1)
        return self.log_contrast.exp() * image * bend
