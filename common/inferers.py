"""Sliding windows over whole volumes, and over parts of one that see the same windows."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from monai.utils import ensure_tuple_rep

from .files import replacing

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
    """MONAI's `SlidingWindowInferer` with windows no larger than the volume; see `window_size`.

    Parameters
    ----------
    *args, **kwargs
        As of `SlidingWindowInferer`.
    part : mapping, or "none"
        Of a part of an image: ``start``, where it begins in the whole image, in pixels of the network, and ``windows``,
        a folder that holds what the network gave for windows, so that parts that see the same window ask it only once;
        in half precision. Without a folder nothing is kept.
    """

    def __init__(self, *args: Any, part: Mapping[str, Any] | str = "none", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.part: Mapping[str, Any] = {} if isinstance(part, str) else part
        self.with_coord = "windows" in self.part

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> torch.Tensor | tuple[torch.Tensor, ...] | dict[Any, torch.Tensor]:
        wanted = self.roi_size
        self.roi_size = window_size(inputs.shape[2:], ensure_tuple_rep(wanted, inputs.ndim - 2))
        asked = partial(self._look_up, network) if self.with_coord else network
        try:
            return super().__call__(inputs, asked, *args, **kwargs)
        finally:
            self.roi_size = wanted

    def _look_up(
        self, network: Callable[..., Any], windows: torch.Tensor, places: Sequence[Sequence[slice]], *args: Any
    ) -> torch.Tensor:
        """What the network gives for windows, which it is asked for those alone that are not known."""
        paths = [self._path(place) for place in places]
        for number, path in enumerate(paths):
            if not path.is_file():
                found = network(windows[number : number + 1], *args)
                with replacing(path) as partial_file:
                    np.save(partial_file, found[0].to(torch.float16).cpu().numpy())
        return torch.stack([torch.from_numpy(np.load(path)) for path in paths]).to(windows.device, torch.float32)

    def _path(self, place: Sequence[slice]) -> Path:
        """The file of a window; its name is where it begins in the whole image, and its size."""
        sides = list(zip(self.part["start"], place[-len(self.part["start"]) :], strict=True))
        begins, sizes = [start + side.start for start, side in sides], [side.stop - side.start for _, side in sides]
        return Path(self.part["windows"], "_".join(map(str, [*begins, *sizes])) + ".npy")
