"""What the slices of a stack add to the one in the middle: six kinds of fusion behind one interface."""

from collections import OrderedDict
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from .backbones import LEVELS
from .common.errors import InputError
from .gates import SliceGate, squeeze
from .roi_fusion import build_roi_fusion

__all__ = [
    "FUSIONS",
    "CenterFusion",
    "ChannelFusion",
    "LateFusion",
    "PixelFusion",
    "SEFusion",
    "SliceFusion",
    "WindowedFusion",
    "build_fusion",
]

Features = Mapping[str, torch.Tensor]

_ALL = "all"


class SliceFusion(nn.Module):
    """Where in the detector the slices of a stack come together.

    Slices are given once, and stacks as indices into them, so that a slice in several stacks is computed once.

    Attributes
    ----------
    in_channels : int
        Slices in one image of the backbone.
    shares_slices : bool
        Whether the backbone sees every slice by itself, so that neighbouring stacks can share its features.
    mask_levels : tuple of str
        The feature maps that the mask head takes its boxes from.
    """

    in_channels = 1
    shares_slices = False
    mask_levels: tuple[str, ...] = LEVELS[:-1]

    def __init__(self, num_slices: int) -> None:
        super().__init__()
        self.num_slices = num_slices

    def images(self, slices: torch.Tensor, stacks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the backbone has to see.

        Parameters
        ----------
        slices : Tensor of float, shape (S, Y, X)
            Every slice once.
        stacks : Tensor of int64, shape (B, n)
            Which slices make a stack.

        Returns
        -------
        images : Tensor of float, shape (I, in_channels, Y, X)
        members : Tensor of int64, shape (B, m)
            Which of the images each stack is fused from.
        """
        raise NotImplementedError

    def fuse(self, features: Features, members: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features of stacks.

        Parameters
        ----------
        features : mapping of str to Tensor of float, shape (I, C, y, x)
            Of the backbone's images, for each of `LEVELS`.
        members : Tensor of int64, shape (B, m)
            Which of the images each stack is fused from.

        Returns
        -------
        dict of str to Tensor of float, shape (B, C, y, x)
            For each of `LEVELS`; and for each of ``mask_levels``.
        """
        raise NotImplementedError

    def mask_head(self, head: nn.Module) -> nn.Module:
        """The mask head with whatever it needs before it."""
        return head


class CenterFusion(SliceFusion):
    """The slice in the middle alone: the 2D detector that the others are compared with."""

    def images(self, slices, stacks):
        return slices[stacks[:, self.num_slices // 2], None], torch.arange(len(stacks), device=stacks.device)[:, None]

    def fuse(self, features, members):
        return {level: maps[members[:, 0]] for level, maps in features.items()}


class ChannelFusion(SliceFusion):
    """The slices are the channels of the first convolution."""

    def __init__(self, num_slices: int) -> None:
        super().__init__(num_slices)
        self.in_channels = num_slices

    def images(self, slices, stacks):
        return slices[stacks], torch.arange(len(stacks), device=stacks.device)[:, None]

    def fuse(self, features, members):
        return {level: maps[members[:, 0]] for level, maps in features.items()}


class _SharedFusion(SliceFusion):
    """Every slice passes the backbone by itself."""

    shares_slices = True

    def images(self, slices, stacks):
        return slices[:, None], stacks


class _GatedFusion(_SharedFusion):
    """Weighted sum of the slices' features at every level of the pyramid."""

    def __init__(self, num_slices: int, channels: int, prior: str, gate_per_level: bool) -> None:
        super().__init__(num_slices)
        self.gates = nn.ModuleDict(
            {
                name: SliceGate(self.score(channels), num_slices, prior)
                for name in (LEVELS if gate_per_level else (_ALL,))
            }
        )

    def fuse(self, features, members):
        return {
            level: self._fuse_level(self.gates[level if level in self.gates else _ALL], maps, members)
            for level, maps in features.items()
        }

    def _fuse_level(self, gate: nn.Module, maps: torch.Tensor, members: torch.Tensor) -> torch.Tensor:
        weights = self.spread(gate(self.pool(maps), members), (maps.shape[-2], maps.shape[-1]))
        # one slice after the other, since all at once would be n copies of the features
        total = weights[:, 0, None] * maps[members[:, 0]]
        for position in range(1, self.num_slices):
            total = total + weights[:, position, None] * maps[members[:, position]]
        return total

    @staticmethod
    def score(channels: int) -> nn.Module:
        """The part of a gate that looks at a slice."""
        return squeeze(channels)

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """What the gate looks at, (I, C, y, x) to (I, C, Y', X')."""
        raise NotImplementedError

    def spread(self, weights: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """The gate's weights back on the features' pixels, (B, n, Y', X') to a shape that broadcasts with (y, x)."""
        raise NotImplementedError


class SEFusion(_GatedFusion):
    """One weight for a whole slice, from its average features: a squeeze and excitation over slices.

    References
    ----------
    Hu, J. et al. Squeeze-and-Excitation Networks. CVPR (2018).
    """

    def pool(self, maps):
        return maps.mean(dim=(2, 3), keepdim=True)

    def spread(self, weights, size):
        return weights


class WindowedFusion(_GatedFusion):
    """One weight for every window of k x k features, from their average; windows at the lower right may be cut off."""

    def __init__(self, num_slices: int, channels: int, prior: str, gate_per_level: bool, window: int) -> None:
        if window < 1:
            raise InputError(f"--window {window}: give 1 or more features")
        super().__init__(num_slices, channels, prior, gate_per_level)
        self.window = window

    def pool(self, maps):
        return F.avg_pool2d(maps, self.window, ceil_mode=True)

    def spread(self, weights, size):
        spread = weights.repeat_interleave(self.window, dim=2).repeat_interleave(self.window, dim=3)
        return spread[..., : size[0], : size[1]]


class PixelFusion(_GatedFusion):
    """One weight for every feature, from a 1 x 1 convolution."""

    @staticmethod
    def score(channels: int) -> nn.Module:
        return nn.Conv2d(channels, 1, 1, bias=False)

    def pool(self, maps):
        return maps

    def spread(self, weights, size):
        return weights


class LateFusion(_SharedFusion):
    """Boxes are found in the slice in the middle, and their masks in all slices."""

    mask_levels = tuple(f"{level} of all slices" for level in SliceFusion.mask_levels)

    def __init__(self, num_slices: int, channels: int, prior: str, late_fusion: str) -> None:
        super().__init__(num_slices)
        # the part that learns belongs to the mask head
        self.channels, self.prior, self.late_fusion = channels, prior, late_fusion

    def fuse(self, features, members):
        fused = {level: maps[members[:, self.num_slices // 2]] for level, maps in features.items()}
        for level, name in zip(SliceFusion.mask_levels, self.mask_levels, strict=True):
            fused[name] = features[level][members].flatten(1, 2)
        return fused

    def mask_head(self, head):
        fusion = build_roi_fusion(self.late_fusion, self.num_slices, self.channels, self.prior)
        return nn.Sequential(OrderedDict(fusion=fusion, convolutions=head))


FUSIONS = ("center", "channel", "se", "windowed", "pixel", "late")


def build_fusion(
    kind: str, num_slices: int, channels: int, *, prior: str, gate_per_level: bool, window: int, late_fusion: str
) -> SliceFusion:
    """Fusion by its name.

    Parameters
    ----------
    kind : str
        One of `FUSIONS`.
    num_slices, channels : int
        Of a stack, and of the features.
    prior : {"zero", "center", "gaussian"}
        What the gates of ``se``, ``windowed``, ``pixel`` and of ``late`` with ``se`` begin with.
    gate_per_level : bool
        Whether ``se``, ``windowed`` and ``pixel`` learn one gate for every level of the pyramid, instead of one.
    window : int
        Side of the windows of ``windowed``, in features.
    late_fusion : {"mean", "center", "conv3d", "se"}
        How ``late`` fuses a box's slices.

    Raises
    ------
    InputError
        If a name is unknown.
    """
    match kind:
        case "center":
            return CenterFusion(num_slices)
        case "channel":
            return ChannelFusion(num_slices)
        case "se":
            return SEFusion(num_slices, channels, prior, gate_per_level)
        case "windowed":
            return WindowedFusion(num_slices, channels, prior, gate_per_level, window)
        case "pixel":
            return PixelFusion(num_slices, channels, prior, gate_per_level)
        case "late":
            return LateFusion(num_slices, channels, prior, late_fusion)
    raise InputError(f"--fusion {kind}: unknown; give one of {', '.join(FUSIONS)}")
