"""Training a detector with MONAI's trainer: what goes in, and the sum of what it loses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from .errors import InputError
from .targets import slice_targets

__all__ = ["LOSSES", "DetectionLoss", "TargetsFromLabels"]

# torchvision's names: class of a box, its corners, its mask; whether an anchor holds an object, and its corners
LOSSES = ("loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg")

Targets = list[dict[str, torch.Tensor]]


class DetectionLoss(nn.Module):
    """Weighted sum of the losses that the network gives in training; a ``loss_function`` for `SupervisedTrainer`.

    Parameters
    ----------
    weights : mapping of str to float, optional
        Of some of `LOSSES`; the others weigh 1.

    Raises
    ------
    InputError
        If a weight has none of these names.
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        unknown = sorted(set(weights or {}) - set(LOSSES))
        if unknown:
            raise InputError(f"loss weights of {', '.join(unknown)}: unknown; the losses are {', '.join(LOSSES)}")
        self.weights = dict.fromkeys(LOSSES, 1.0) | dict(weights or {})

    def forward(self, losses: Mapping[str, torch.Tensor], targets: Targets) -> torch.Tensor:
        """Scalar; the targets are in the losses already."""
        return torch.stack([weight * losses[name] for name, weight in self.weights.items()]).sum()


class TargetsFromLabels:
    """A ``prepare_batch`` for `SupervisedTrainer`: label images become targets, which go to the network too.

    On the labels of the batch, after flips and crops of images and labels together. The trainer needs
    ``decollate=False``: MONAI cannot take apart a batch whose slices have different numbers of objects.

    Parameters
    ----------
    min_area_px : int
        Objects with fewer pixels in the slice are left out.
    """

    def __init__(self, min_area_px: int = 1) -> None:
        self.min_area_px = min_area_px

    def __call__(
        self, batchdata: Mapping[str, torch.Tensor], device: Any = None, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[torch.Tensor, Targets, tuple[Targets], dict]:
        """Image, targets, and what else the network is called with.

        Parameters
        ----------
        batchdata : mapping
            ``image`` (B, n, Y, X) and ``label`` (B, 1, Y, X), the instances in the slice in the middle.
        """
        image = batchdata["image"].to(device=device, non_blocking=non_blocking, **kwargs)
        targets = [
            {
                name: value.to(device=device, non_blocking=non_blocking)
                for name, value in slice_targets(labels[0].cpu().numpy(), min_area_px=self.min_area_px).items()
            }
            for labels in batchdata["label"]
        ]
        return image, targets, (targets,), {}
