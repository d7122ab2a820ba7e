"""Cross-entropy and soft Dice of what is known."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["KnownDiceCELoss"]


class KnownDiceCELoss(nn.Module):
    """Sum of binary cross-entropy and soft Dice loss over those pixels whose target is not negative.

    Dice is that of all patches of a batch together, channel by channel, so that a patch without crypts is no special
    case. A batch in which nothing is known has the loss 0.

    Parameters
    ----------
    smooth : float
        Added to both sides of the fraction, in pixels.
    """

    def __init__(self, smooth: float = 1.0) -> None:
        super().__init__()
        self.smooth = smooth

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss of a batch.

        Parameters
        ----------
        logits : Tensor, shape (B, C, Y, X)
        targets : Tensor, shape (B, C, Y, X)
            1, 0, or negative where the target is not known.

        Returns
        -------
        Tensor of float, a scalar
        """
        logits = logits.float()
        known = (targets >= 0).float()
        wanted = targets.clamp(min=0).float()
        entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        entropy = (entropy * known).sum() / known.sum().clamp(min=1)
        probability = torch.sigmoid(logits) * known
        common = (probability * wanted).sum((0, 2, 3))
        total = (probability + wanted).sum((0, 2, 3))
        dice = 1 - (2 * common + self.smooth) / (total + self.smooth)
        return entropy + dice.mean()
