"""How the original pipeline goes through a slide, to compare with: all of it loaded, then tile by tile."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from monai.inferers import Inferer
from torch import nn

__all__ = ["TileInferer", "shrink"]


class TileInferer(Inferer):
    """Square tiles side by side, one at a time; beyond the slide's border they are black.

    Parameters
    ----------
    tile_size : int
        Height and width of a tile in pixels.
    """

    def __init__(self, tile_size: int = 512) -> None:
        super().__init__()
        self.tile_size = tile_size

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args, **kwargs) -> torch.Tensor:
        """Probability of one slide.

        Parameters
        ----------
        inputs : Tensor of uint8, shape (1, C, Y, X)
            The whole slide.
        network : Module
            Takes a tile (1, C, y, x) as float, gives logits (1, 1, y, x).

        Returns
        -------
        Tensor of float32, shape (1, 1, Y, X)
        """
        (height, width), size = inputs.shape[2:], self.tile_size
        result = torch.empty(1, 1, height, width, device=inputs.device)
        with torch.inference_mode():
            for top, left in product(range(0, height, size), range(0, width, size)):
                part = inputs[..., top : top + size, left : left + size].float()
                inside_y, inside_x = part.shape[2:]
                tile = F.pad(part, (0, size - inside_x, 0, size - inside_y))
                probability = torch.sigmoid(network(tile).float())
                result[..., top : top + size, left : left + size] = probability[..., :inside_y, :inside_x]
        return result


def shrink(image: np.ndarray, factor: int) -> np.ndarray:
    """A slide in which every pixel is the rounded mean of a block; blocks at the lower and right border may be smaller.

    Parameters
    ----------
    image : ndarray of uint8, shape (Y, X, C)
        The whole slide.
    factor : int
        Height and width of a block.

    Returns
    -------
    ndarray of uint8, shape (ceil(Y / factor), ceil(X / factor), C)
    """
    sums = image
    for axis in (0, 1):
        sums = np.add.reduceat(sums, np.arange(0, image.shape[axis], factor), axis=axis, dtype=np.uint32)
    height, width = (np.diff(np.append(np.arange(0, size, factor), size)) for size in image.shape[:2])
    return np.rint(sums / (height[:, None] * width)[..., None]).astype(np.uint8)
