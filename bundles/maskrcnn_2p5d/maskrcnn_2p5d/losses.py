"""Training a detector with MONAI's trainer: its inputs, its losses and their sum."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from monai.inferers import Inferer
from torch import nn

from .common.errors import InputError
from .targets import slice_targets

__all__ = ["LOSSES", "DetectionLoss", "LossInferer", "TargetsFromLabels"]

# torchvision's names: class of a box, its corners, its mask; whether an anchor holds an object, and its corners
LOSSES = ("loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg")

Targets = list[dict[str, torch.Tensor]]


class TargetsFromLabels:
    """A ``prepare_batch`` for `SupervisedTrainer`: label images become targets, which go to the network too.

    On the labels of the batch, after flips and crops of images and labels together.

    Parameters
    ----------
    min_area_px : int
        Objects with fewer pixels in the slice are left out.
    """

    def __init__(self, min_area_px: int = 1) -> None:
        self.min_area_px = min_area_px

    def __call__(
        self, batchdata: Mapping[str, torch.Tensor], device: Any = None, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor, tuple[Targets], dict]:
        """Image, label images, and what else the network is called with: targets.

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
        return image, batchdata["label"], (targets,), {}


class LossInferer(Inferer):
    """Calls a detector in training, which gives its losses instead of a prediction."""

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        """The losses of a batch (B, n, Y, X) in the order of `LOSSES`, (B, 5).

        They are the same for all of the batch, so that MONAI can take it apart as any prediction. The network is called
        with ``inputs`` and what follows it, and gives a scalar under each name.
        """
        losses = network(inputs, *args, **kwargs)
        return torch.stack([losses[name] for name in LOSSES]).expand(len(inputs), -1)


class DetectionLoss(nn.Module):
    """Weighted sum of what `LossInferer` gives; a ``loss_function`` for `SupervisedTrainer`.

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

    def forward(self, losses: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Scalar, of losses (B, 5); the labels are in them already."""
        return (losses.mean(dim=0) * losses.new_tensor(list(self.weights.values()))).sum()
