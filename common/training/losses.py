"""Cross-entropy and soft Dice of what is known."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["KnownDiceCELoss"]


class KnownDiceCELoss(nn.Module):
    """Sum of binary cross-entropy and soft Dice loss over those pixels whose target is not negative.

    Dice is that of all patches of a batch together, channel by channel, so that a patch without objects is no special
    case. A batch in which nothing is known has the loss 0.

    Parameters
    ----------
    smooth : float
        Added to both sides of the fraction, in pixels.
    dice_channels : sequence of int, optional
        Channels whose Dice counts, all if left out. Others may have targets anywhere from 0 to 1, which cross-entropy
        makes the network predict as they are, whereas Dice would push them to 0 and 1.
    """

    def __init__(self, smooth: float = 1.0, dice_channels: Sequence[int] | None = None) -> None:
        super().__init__()
        self.smooth = smooth
        self.dice_channels = None if dice_channels is None else list(dice_channels)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss of a batch.

        Parameters
        ----------
        logits : Tensor, shape (B, C, Y, X)
        targets : Tensor, shape (B, C, Y, X)
            From 0 to 1, or negative where the target is not known.

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
        return entropy + (dice if self.dice_channels is None else dice[self.dice_channels]).mean()
