"""Tiles of an image as embeddings."""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import nn

from .normalisation import Fit, fit_to, normalise_rgb
from .tiles import Tile
from .views import view_of

__all__ = ["TileEmbeddings"]


class PromptedNetwork(Protocol):
    """What `SamMyelin` and its form in ONNX have in common."""

    image_size: int

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def encode(self, image: torch.Tensor) -> torch.Tensor: ...

    def segment(self, image: torch.Tensor) -> torch.Tensor: ...

    def decode(
        self,
        embedding: torch.Tensor,
        boxes: torch.Tensor,
        points: torch.Tensor,
        point_labels: torch.Tensor,
        present: None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]: ...


class TileEmbeddings:
    """Embeddings of the tiles of one image, computed when they are asked for.

    Parameters
    ----------
    image : Tensor of float32, shape (3, Y, X)
        Gray values from 0 to 255.
    tiles : list of Tile
    network : PromptedNetwork
    device : device
        Of the network.
    """

    def __init__(self, image: torch.Tensor, tiles: list[Tile], network: PromptedNetwork, device: torch.device) -> None:
        self.image, self.tiles, self.network, self.device = image, tiles, network, device

    def fit(self, index: int) -> Fit:
        """How a tile lies in the network's input."""
        top, left, bottom, right = self.tiles[index].outer
        return fit_to((bottom - top, right - left), self.network.image_size)

    def get(self, index: int, view: int = 0) -> torch.Tensor:
        """Embedding (1, 256, h, w) of a view of a tile, float32 on the network's device, but rounded to half precision.

        It is rounded as those are that a training keeps.
        """
        tile = self.image[:, *self.tiles[index].slices]
        pixels = normalise_rgb(tile.to(self.device), size=self.network.image_size)[0]
        return self.network.encode(view_of(pixels, view)[None])[0].half().float()[None]
