"""Embeddings of all tiles of all images, computed once, so that a training never runs the image encoder again."""

import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import SimpleInferer
from monai.transforms import MapTransform
from monai.utils import convert_to_numpy
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from .common.errors import InputError
from .common.training.devices import AutocastInferer
from .embeddings import EmbeddingCache, hash_weights, read_embedding
from .network import SamMyelin
from .normalisation import normalise_rgb
from .reading import ReadMicrographd
from .tiles import cut_tiles, tile_side
from .views import NUM_VIEWS, view_of

__all__ = ["CutTiled", "Embedder", "ReadEmbeddingd"]


class Embedder:
    """Computes the embeddings of images, or finds them in a folder; see `EmbeddingCache`.

    An interrupted run goes on where it was. Several processes share the work.

    Parameters
    ----------
    network : Module
        `SamMyelin` or what wraps it as ``module``, with its weights; its device is where tiles go.
    embeddings_dir : path
        It is created.
    views : int
        From 1 to 8: in how many ways each tile is laid down, see `view_of`. More of them vary a training more, and take
        as much more time and space.
    tile_px : int or "auto"
        As for `tile_side`.
    halo : float
        Share of a tile's side by which tiles at least reach over their cores.
    pixel_size_um : float or "none"
        As for `ReadMicrographd`.
    amp : bool
        Whether a CPU with bfloat16 arithmetic uses it.

    Raises
    ------
    InputError
        If there are not 1 to 8 views.
    """

    def __init__(
        self,
        network: SamMyelin | DistributedDataParallel,
        embeddings_dir: str | os.PathLike,
        *,
        views: int = 1,
        tile_px: int | str = "auto",
        halo: float = 0.2,
        pixel_size_um: float | str = "none",
        amp: bool = True,
    ) -> None:
        if not 1 <= views <= NUM_VIEWS:
            raise InputError(f"--views {views}: an image can be turned and mirrored in 8 ways; give 1 to 8")
        self.network, self.embeddings_dir, self.views = network, embeddings_dir, views
        self.tile_px, self.halo = tile_px, halo
        self.read = ReadMicrographd("image", pixel_size_um)
        self.inferer = AutocastInferer(SimpleInferer(), enabled=amp)

    def __call__(self, items: Sequence[Mapping[Hashable, Any]]) -> list[dict[Hashable, Any]]:
        """One item for every view of every tile of every image, of which the items hold the path under ``image``.

        It has what the item holds, and ``embedding``: its path, ``shape`` (Y, X) of the image, ``window`` (top, left,
        bottom, right) of the tile in it, in pixels, and ``view``; for `ReadEmbeddingd` and `CutTiled`.
        """
        bare: Any = getattr(self.network, "module", self.network)
        network: SamMyelin = bare
        was_training = network.training
        network.eval()
        try:
            cache = EmbeddingCache(
                self.embeddings_dir,
                variant=network.variant,
                image_size=network.image_size,
                weights_hash=hash_weights(network.encoder_parts),
            )
            if idist.get_world_size() > 1:
                for item in items[idist.get_rank() :: idist.get_world_size()]:
                    list(self._embed(item, network, cache))
                idist.barrier()
            shown = tqdm(items, desc="embedding", unit="image", disable=idist.get_rank() > 0)
            return [tile for item in shown for tile in self._embed(item, network, cache)]
        finally:
            network.train(was_training)

    def _embed(
        self, item: Mapping[Hashable, Any], network: SamMyelin, cache: EmbeddingCache
    ) -> Iterator[dict[Hashable, Any]]:
        image = self.read(item)["image"]
        pixels = image.as_tensor()
        side = tile_side(self.tile_px, image.meta["pixel_size_um"], network.image_size)
        device = next(network.parameters()).device
        for tile in cut_tiles(pixels.shape[1:], tile_px=side, halo_px=int(self.halo * side)):
            for view in range(self.views):
                laid = view_of(pixels[:, *tile.slices], view)

                @torch.no_grad()
                def compute(_: np.ndarray, laid: torch.Tensor = laid) -> torch.Tensor:
                    inputs = normalise_rgb(laid.to(device), size=network.image_size)[0]
                    return self.inferer(inputs[None], network.encode)[0]

                key = convert_to_numpy(laid[0])  # the channels are equal, see `ReadMicrographd`
                cache.get(key, compute)
                place: dict[Hashable, Any] = {"shape": tuple(pixels.shape[1:]), "window": tile.outer, "view": view}
                yield {**item, "embedding": str(cache.path(key)), **place}


class ReadEmbeddingd(MapTransform):
    """Puts the embedding of a tile in the place of the path of its image.

    Parameters
    ----------
    keys : collection of str
        Path of the image; the embedding's is under ``embedding``, see `Embedder`.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        path, shape = data.pop("embedding"), data.pop("shape")
        for key in self.key_iterator(data):
            meta = {"filename_or_obj": data[key], "original_shape": shape}
            data[key] = MetaTensor(torch.from_numpy(read_embedding(path)), meta=meta)
        return data


class CutTiled(MapTransform):
    """Cuts what belongs to a tile out of label maps, and lays it down as the tile was.

    Parameters
    ----------
    keys : collection of str
        Tensors (1, Y, X) of the whole image; ``window`` and ``view`` are beside them, see `Embedder`.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        (top, left, bottom, right), view = data.pop("window"), data.pop("view")
        for key in self.key_iterator(data):
            cut = view_of(data[key].as_tensor()[:, top:bottom, left:right], view)
            data[key] = MetaTensor(cut.contiguous(), meta=data[key].meta)
        return data
