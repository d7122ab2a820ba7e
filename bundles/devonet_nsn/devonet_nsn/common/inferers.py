"""Sliding windows over whole volumes."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.inferers import SlidingWindowInferer
from monai.utils import ensure_tuple_rep

__all__ = ["VolumeInferer", "window_size"]


def window_size(volume_shape: Sequence[int], roi_size: Sequence[int]) -> tuple[int, ...]:
    """Window that is never larger than the volume: MONAI would pad it with zeros, which no real image ends with.

    Parameters
    ----------
    volume_shape, roi_size : sequence of int
        Size of the volume and largest window wanted, in voxels.

    Returns
    -------
    tuple of int
        For each axis the smaller of the two.
    """
    return tuple(min(size, roi) for size, roi in zip(volume_shape, roi_size, strict=True))


class VolumeInferer(SlidingWindowInferer):
    """MONAI's `SlidingWindowInferer` with windows no larger than the volume; see `window_size`."""

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> torch.Tensor | tuple[torch.Tensor, ...] | dict[Any, torch.Tensor]:
        wanted = self.roi_size
        self.roi_size = window_size(inputs.shape[2:], ensure_tuple_rep(wanted, inputs.ndim - 2))
        try:
            return super().__call__(inputs, network, *args, **kwargs)
        finally:
            self.roi_size = wanted
