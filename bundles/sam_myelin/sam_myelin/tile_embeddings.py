"""Tiles of an image as embeddings, each computed once."""

from __future__ import annotations

import numpy as np
import torch
from monai.utils import convert_to_numpy
from torch import nn

from .embeddings import EmbeddingCache
from .normalisation import Fit, fit_to, normalise_rgb
from .tiles import Tile

__all__ = ["TileEmbeddings", "cache_key"]


class TileEmbeddings:
    """Embeddings of the tiles of one image, in half precision, computed when they are first asked for.

    Parameters
    ----------
    image : Tensor of float32, shape (3, Y, X)
        Gray values from 0 to 255.
    tiles : list of Tile
    network : Module
        With ``image_size`` and ``encode``.
    device : device
        Of the network.
    keep : bool
        Whether to keep them in memory, for those that are asked for twice: 0.9 MB per tile for an input of 672 pixels.
    cache : EmbeddingCache, optional
        Where they are kept on disk.
    """

    def __init__(
        self,
        image: torch.Tensor,
        tiles: list[Tile],
        network: nn.Module,
        device: torch.device,
        *,
        keep: bool = False,
        cache: EmbeddingCache | None = None,
    ) -> None:
        self.image, self.tiles, self.network, self.device = image, tiles, network, device
        self.keep, self.cache = keep, cache
        self.kept: dict[int, torch.Tensor] = {}

    def fit(self, index: int) -> Fit:
        """How a tile lies in the network's input."""
        top, left, bottom, right = self.tiles[index].outer
        return fit_to((bottom - top, right - left), self.network.image_size)

    def get(self, index: int) -> torch.Tensor:
        """Embedding (1, 256, h, w) of a tile, float32 on the network's device, but rounded to half precision.

        It is rounded in any case, so that results are the same whether or not it was kept.
        """
        if index in self.kept:
            return self._back(self.kept[index])
        tile = self.image[:, *self.tiles[index].slices]
        if self.cache is None:
            embedding = self._encode(tile).half()
        else:
            embedding = self.cache.get(cache_key(tile), lambda _: self._encode(tile))
        if self.keep:
            self.kept[index] = embedding.cpu()
        return self._back(embedding)

    def _encode(self, tile: torch.Tensor) -> torch.Tensor:
        pixels = normalise_rgb(tile.to(self.device), size=self.network.image_size)[0]
        return self.network.encode(pixels[None])[0]

    def _back(self, embedding: torch.Tensor) -> torch.Tensor:
        return embedding.to(self.device).float()[None]


def cache_key(tile: torch.Tensor) -> np.ndarray:
    """Pixels (Y, X), or (Y, X, 3) in colour, of a tile (3, Y, X); of the image's type uint8 where they fit into it.

    By these a tile has the same name in the cache as the image that it is cut out of would have.
    """
    pixels = convert_to_numpy(tile).transpose(1, 2, 0)
    if (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    whole = pixels.astype(np.uint8)
    return whole if (whole == pixels).all() else pixels
