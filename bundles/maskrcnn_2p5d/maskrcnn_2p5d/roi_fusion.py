"""Fusing what one box shows in every slice of a stack."""

from typing import cast

import torch
from torch import nn

from .common.errors import InputError
from .gates import SliceGate, squeeze

__all__ = ["ROI_FUSIONS", "CenterRoI", "Conv3dRoI", "GatedRoI", "MeanRoI", "build_roi_fusion"]


class _RoIFusion(nn.Module):
    """Features (R, n * C, y, x) of R boxes in n slices to (R, C, y, x)."""

    def __init__(self, num_slices: int, channels: int) -> None:
        super().__init__()
        self.num_slices, self.channels = num_slices, channels

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.fuse(features.unflatten(1, (self.num_slices, self.channels)))

    def fuse(self, slices: torch.Tensor) -> torch.Tensor:
        """(R, n, C, y, x) to (R, C, y, x)."""
        raise NotImplementedError


class MeanRoI(_RoIFusion):
    """Every slice counts alike."""

    def fuse(self, slices: torch.Tensor) -> torch.Tensor:
        return slices.mean(dim=1)


class CenterRoI(_RoIFusion):
    """The slice in the middle alone: what `late` fusion is compared with."""

    def fuse(self, slices: torch.Tensor) -> torch.Tensor:
        return slices[:, self.num_slices // 2]


class Conv3dRoI(_RoIFusion):
    """A convolution over n x 3 x 3 pixels, which begins as the slice in the middle alone."""

    def __init__(self, num_slices: int, channels: int) -> None:
        super().__init__(num_slices, channels)
        self.conv = nn.Conv3d(channels, channels, kernel_size=(num_slices, 3, 3), padding=(0, 1, 1))
        nn.init.dirac_(self.conv.weight)
        nn.init.zeros_(cast(nn.Parameter, self.conv.bias))

    def fuse(self, slices: torch.Tensor) -> torch.Tensor:
        return self.conv(slices.transpose(1, 2))[:, :, 0]


class GatedRoI(_RoIFusion):
    """Weighted sum, with a gate on what each slice shows of the box on average."""

    def __init__(self, num_slices: int, channels: int, prior: str) -> None:
        super().__init__(num_slices, channels)
        self.gate = SliceGate(squeeze(channels), num_slices, prior)

    def fuse(self, slices: torch.Tensor) -> torch.Tensor:
        averages = slices.flatten(0, 1).mean(dim=(2, 3), keepdim=True)
        stacks = torch.arange(len(averages), device=slices.device).view(-1, self.num_slices)
        return (self.gate(averages, stacks)[:, :, None] * slices).sum(dim=1)


ROI_FUSIONS = {"mean": MeanRoI, "center": CenterRoI, "conv3d": Conv3dRoI, "se": GatedRoI}


def build_roi_fusion(kind: str, num_slices: int, channels: int, prior: str) -> nn.Module:
    """RoI fusion by its name; the prior over slices is that of the gate in ``se``."""
    if kind not in ROI_FUSIONS:
        raise InputError(f"--late_fusion {kind}: unknown; give one of {', '.join(ROI_FUSIONS)}")
    options = {"prior": prior} if kind == "se" else {}
    return ROI_FUSIONS[kind](num_slices, channels, **options)
