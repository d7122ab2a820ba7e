"""Sliding windows over whole volumes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.inferers import SlidingWindowInferer
from torch import nn

__all__ = ["VolumeInferer", "window_size"]


def window_size(volume_shape: Sequence[int], roi_size: Sequence[int], *, divisor: int = 4) -> tuple[int, ...]:
    """Window that covers a volume without computing what would only be padding.

    Parameters
    ----------
    volume_shape, roi_size : sequence of int
        Size of the volume and largest window wanted, in voxels.
    divisor : int
        The window is rounded up to a multiple of this, since the network pads to one.

    Returns
    -------
    tuple of int
        For each axis ``roi_size``, or the volume's rounded-up size where that is smaller.
    """
    return tuple(min(roi, -(-size // divisor) * divisor) for size, roi in zip(volume_shape, roi_size))


class VolumeInferer(SlidingWindowInferer):
    """MONAI's `SlidingWindowInferer` with windows that shrink to volumes smaller than ``roi_size``; see `window_size`."""

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args, **kwargs) -> torch.Tensor:
        wanted = self.roi_size
        self.roi_size = window_size(inputs.shape[2:], wanted)
        try:
            return super().__call__(inputs, network, *args, **kwargs)
        finally:
            self.roi_size = wanted
