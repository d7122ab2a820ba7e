"""Dice, with or without cross entropy, over prompts of which some only fill up the batch."""

import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from torch import nn

from .common.errors import InputError

__all__ = ["PADDING", "PromptLoss"]

PADDING = -1.0  # target of a prompt that only fills up the batch


class PromptLoss(nn.Module):
    """Mean over all real prompts of the batch; every fibre counts the same, in whichever image it is.

    A prompt that only fills up the batch gets exactly no gradient, whatever its logits are. It is
    known by its target, `PADDING` everywhere, so that the loss fits MONAI's trainers, or by ``present``.

    Parameters
    ----------
    kind : str
        ``dice``: soft Dice loss of each prompt; ``dice_ce``: plus its binary cross entropy.
    ce_weight : float
        Of the cross entropy.

    Raises
    ------
    InputError
        If there is no such kind.
    """

    def __init__(self, kind: str = "dice", ce_weight: float = 1.0) -> None:
        super().__init__()
        if kind not in ("dice", "dice_ce"):
            raise InputError(f"--loss_kind {kind}: unknown; give dice or dice_ce")
        self.ce_weight = ce_weight if kind == "dice_ce" else 0.0
        self.dice = DiceLoss(sigmoid=True, soft_label=True)  # 0 also where a perfect mask has half covered pixels

    def forward(self, logits: torch.Tensor, targets: torch.Tensor, present: torch.Tensor | None = None) -> torch.Tensor:
        """Loss of a batch.

        Parameters
        ----------
        logits : Tensor of float, shape (B, n, 1, h, w)
        targets : Tensor of float, same shape
            From 0 to 1; `PADDING` for prompts that only fill up the batch.
        present : Tensor of bool, shape (B, n), optional
            True for real prompts; by default told by ``targets``.

        Returns
        -------
        Tensor of float, shape ()
            0 if no prompt is real.

        Raises
        ------
        ValueError
            If the shapes differ.
        """
        if logits.shape != targets.shape:
            raise ValueError(f"logits {tuple(logits.shape)}, targets {tuple(targets.shape)}; reduce the targets first")
        if present is None:
            present = targets.flatten(2).amax(dim=2) >= 0
        logits, targets = logits[present].float(), targets[present].float()
        if not len(logits):
            return logits.sum()  # 0 with a gradient of 0, for trainers that call backward
        loss = self.dice(logits, targets)
        if self.ce_weight:
            loss = loss + self.ce_weight * F.binary_cross_entropy_with_logits(logits, targets)
        return loss
