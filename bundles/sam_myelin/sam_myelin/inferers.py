"""Fibres of images of any size, from prompts or without any."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.utils import convert_to_numpy
from tqdm import tqdm

from .automatic import fibres_from_dense, prompts_from_dense
from .common.errors import InputError
from .fibres import Fibre, FibreMaps, fibres_of_logits, merge_fibres, moved
from .normalisation import Fit, logits_to_image, to_input
from .prompt_sources import as_prompts
from .prompts import Prompts, check_inside
from .targets import PARTS
from .tile_embeddings import PromptedNetwork, TileEmbeddings
from .tiles import Tile, cut_tiles, tile_of_boxes, tile_side
from .views import NUM_VIEWS, boxes_in_view, points_in_view, undo_view

__all__ = ["FibreInferer", "prompts_in_tile"]


def prompts_in_tile(prompts: Prompts, tile: Tile, fit: Fit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prompts of an image as what the network takes for one of its tiles.

    Parameters
    ----------
    prompts : Prompts
    tile : Tile
    fit : Fit
        How the tile lies in the network's input.

    Returns
    -------
    boxes : ndarray of float32, shape (k, 4)
        Cut at the tile's border; NaN where unknown.
    points : ndarray of float32, shape (k, 1, 2)
        0 where unknown.
    point_labels : ndarray of int64, shape (k, 1)
        1; -1 where the point is unknown or outside the tile.
    """
    top, left, bottom, right = tile.outer
    limits = np.array([right - left - 1, bottom - top - 1])
    boxes = np.clip(prompts.boxes - np.array([left, top] * 2), 0, np.tile(limits, 2))  # NaN stays NaN
    points = prompts.points - np.array([left, top])
    inside = ((points >= -0.5) & (points <= limits + 0.5)).all(axis=1)
    points = np.where(inside[:, None], to_input(points, fit), 0).astype(np.float32)
    return to_input(boxes, fit), points[:, None], np.where(inside, 1, -1).astype(np.int64)[:, None]


class FibreInferer(Inferer):
    """Draws the fibres that prompts point at, or finds them itself, tile by tile.

    Beside image and result, one tile and its masks are in memory; where fibres are found without prompts, also the
    probabilities of myelin and axon, and the embeddings of all tiles.

    Parameters
    ----------
    automatic : bool
        Whether fibres are found by the network's dense head; prompts are then ignored.
    tile_px : int or "auto"
        Side of the tiles in pixels of the image; ``auto``: see `choose_tile_px`, by ``pixel_size_um`` in the metadata.
    halo : float
        Share of a tile's side by which tiles at least reach over their cores.
    part : str
        What the network draws: ``myelin``, ``axon`` or ``fibre``. The axon of a ``fibre`` is told by the dense head.
    threshold : float
        Probability from which a pixel belongs to a mask.
    min_visible, min_axon_px
        As for `merge_fibres` and `find_fibres`; only where fibres are found without prompts. Of those that were asked
        for, whatever can be seen is kept.
    prompts_per_batch : int
        Masks that are drawn at once.
    refine : bool
        Whether fibres that are found without prompts are drawn by the mask decoder, prompted by what the dense head
        found; otherwise that is the result.
    views : int
        From 1 to 8: in how many ways each tile is laid down, see `view_of`; their logits are averaged. More are better,
        and take as much longer.
    progress : bool
        Whether to show a bar that counts tiles.

    Raises
    ------
    InputError
        If a setting is out of range, the image is not of shape (1, 3, Y, X), or a prompt is outside it.
    """

    def __init__(
        self,
        *,
        automatic: bool = False,
        tile_px: int | str = "auto",
        halo: float = 0.2,
        part: str = "myelin",
        threshold: float = 0.5,
        min_visible: float = 0.0,
        min_axon_px: int = 20,
        prompts_per_batch: int = 16,
        refine: bool = True,
        views: int = 1,
        progress: bool = False,
    ) -> None:
        super().__init__()
        tile_side(tile_px, None, 1)  # refuses what is none before hours of work
        if not 0 <= halo < 0.5:
            raise InputError(f"--halo {halo}: expected a share of a tile from 0 to below 0.5, which keeps no core")
        if not 1 <= views <= NUM_VIEWS:
            raise InputError(f"--test_time_views {views}: an image can be turned and mirrored in 8 ways; give 1 to 8")
        if part not in PARTS:
            raise InputError(f"--target {part}: unknown; give {', '.join(PARTS)}")
        if not 0 < threshold < 1 or prompts_per_batch < 1:
            raise InputError(
                f"--threshold {threshold}, --prompts_per_batch {prompts_per_batch}: expected a number between 0 and 1, "
                "and at least one prompt"
            )
        self.automatic, self.tile_px, self.halo, self.part = automatic, tile_px, halo, part
        self.threshold, self.min_visible, self.min_axon_px = threshold, min_visible, min_axon_px
        self.prompts_per_batch, self.refine, self.views, self.progress = prompts_per_batch, refine, views, progress

    @torch.no_grad()
    def __call__(
        self,
        inputs: torch.Tensor,
        network: Callable[..., Any],
        prompts: torch.Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> MetaTensor:
        """Fibres of an image.

        Parameters
        ----------
        inputs : Tensor of float32, shape (1, 3, Y, X)
            Gray values from 0 to 255; a MetaTensor may know ``pixel_size_um``.
        network : Module
            `SamMyelin`, or what wraps it as ``module``.
        prompts : Tensor of float32, shape (1, k, 7), optional
            As `as_tensor` makes them. Without any there is no fibre, unless the inferer is ``automatic``.

        Returns
        -------
        MetaTensor of int32, shape (1, 2, Y, X)
            On the CPU, with the image's metadata. Channel 0: fibres, numbered as their prompts, from 1 where they are
            found without; channel 1: 0 background, 127 myelin, 255 axon.
        """
        if inputs.ndim != 4 or inputs.shape[:2] != (1, 3):
            raise InputError(
                f"an image of shape {tuple(inputs.shape)}: expected one image of three channels (1, 3, Y, X); set "
                "batch_size 1"
            )
        image = inputs.as_subclass(torch.Tensor)[0]
        bare: Any = getattr(network, "module", network)
        device = next((parameter.device for parameter in bare.parameters()), inputs.device)
        tile_px = tile_side(self.tile_px, _pixel_size_um(inputs), bare.image_size)
        tiles = cut_tiles(image.shape[1:], tile_px=tile_px, halo_px=int(self.halo * tile_px))
        keep = self.refine if self.automatic else self.part == "fibre"  # where each is asked for twice
        embeddings = TileEmbeddings(image, tiles, bare, device, keep=keep)
        given = None if self.automatic else as_prompts(torch.zeros(1, 0, 7) if prompts is None else prompts)
        if given is not None:
            check_inside(given, image.shape[1:], "prompts")
        return _as_result(self._find(embeddings, given), inputs)

    def _find(self, embeddings: TileEmbeddings, prompts: Prompts | None) -> FibreMaps:
        """The maps of an image; without prompts, of the fibres that the dense head finds."""
        shape, axon, min_visible = tuple(embeddings.image.shape[1:]), None, 0.0
        if prompts is None:
            min_visible = self.min_visible
            myelin_probability, axon_probability = self._dense(embeddings)
            options = {"threshold": self.threshold, "min_axon_px": self.min_axon_px}
            if not self.refine:
                fibres = fibres_from_dense(myelin_probability, axon_probability, **options)
                return merge_fibres(fibres, shape, min_visible=min_visible)
            prompts, axon = prompts_from_dense(myelin_probability, axon_probability, **options)
        elif self.part == "fibre" and len(prompts.ids):
            myelin_probability, axon_probability = self._dense(embeddings)
            axon = (axon_probability >= self.threshold) & (axon_probability >= myelin_probability)
        drawn: list[Fibre | None] = [None] * len(prompts.ids)
        for place, fibre in self._draw(embeddings, prompts, axon if self.part == "fibre" else None):
            drawn[place] = fibre
        return merge_fibres(drawn, shape, ids=prompts.ids, min_visible=min_visible)

    def _dense(self, embeddings: TileEmbeddings) -> np.ndarray:
        """Probabilities (2, Y, X) of myelin and axon, float16, each pixel from the tile in whose core it is."""
        probability = np.zeros((2, *embeddings.image.shape[1:]), np.float16)
        for index in self._shown(range(len(embeddings.tiles)), "myelin and axons"):
            tile = embeddings.tiles[index]
            views = [
                undo_view(embeddings.network.dense(embeddings.get(index, view)), view) for view in range(self.views)
            ]
            logits = torch.stack(views).float().mean(dim=0)[0, :, None]
            found = convert_to_numpy(logits_to_image(logits, embeddings.fit(index)).sigmoid())
            (top, left, _, _), (core_top, core_left, core_bottom, core_right) = tile
            core = found[:, core_top - top : core_bottom - top, core_left - left : core_right - left]
            probability[:, core_top:core_bottom, core_left:core_right] = core
        return probability

    def _draw(
        self, embeddings: TileEmbeddings, prompts: Prompts, axon: np.ndarray | None
    ) -> Iterator[tuple[int, Fibre | None]]:
        """The fibre of each prompt with the prompt's place in the list, by tiles; ``axon`` as for `fibre_of_mask`."""
        boxes = np.where(np.isnan(prompts.boxes), np.tile(prompts.points, 2), prompts.boxes)
        owners = tile_of_boxes(boxes, embeddings.tiles)
        for index in self._shown(np.unique(owners).tolist(), "fibres"):
            places, tile, fit = np.flatnonzero(owners == index), embeddings.tiles[index], embeddings.fit(index)
            near = None if axon is None else axon[tile.slices]
            seen = [embeddings.get(index, view) for view in range(self.views)]
            for chunk in np.split(places, range(self.prompts_per_batch, len(places), self.prompts_per_batch)):
                own = prompts_in_tile(Prompts(*(values[chunk] for values in prompts)), tile, fit)
                given = [torch.from_numpy(values).to(embeddings.device)[None] for values in own]
                views = [_decode(embeddings.network, embedding, view, *given) for view, embedding in enumerate(seen)]
                logits = torch.stack(views).float().mean(dim=0)
                found = fibres_of_logits(logits, fit, part=self.part, axon=near, threshold=self.threshold)
                for place, fibre in zip(chunk.tolist(), found, strict=True):
                    yield place, moved(fibre, *tile.outer[:2])

    def _shown(self, tiles: range | list[int], what: str) -> tqdm:
        return tqdm(tiles, desc=what, unit="tile", disable=not self.progress, leave=False)


def _pixel_size_um(inputs: torch.Tensor) -> float:
    """What the metadata of a batch of one image tell; NaN if it is unknown."""
    known = inputs.meta.get("pixel_size_um", math.nan) if isinstance(inputs, MetaTensor) else math.nan
    return float(np.ravel(convert_to_numpy(known))[0])


def _as_result(maps: FibreMaps, inputs: torch.Tensor) -> MetaTensor:
    channels = np.stack([maps.labels.astype(np.int32), maps.axonmyelin.astype(np.int32)])
    result = MetaTensor(torch.from_numpy(channels)[None])
    if isinstance(inputs, MetaTensor):
        result.copy_meta_from(inputs)
    else:
        result.meta["affine"] = result.affine[None]
    result.is_batch = True
    return result


def _decode(
    network: PromptedNetwork,
    embedding: torch.Tensor,
    view: int,
    boxes: torch.Tensor,
    points: torch.Tensor,
    point_labels: torch.Tensor,
) -> torch.Tensor:
    """Logits (k, 1, h, w) of prompts in a tile, of which a view was embedded."""
    size = network.image_size
    turned_boxes, turned_points = boxes_in_view(boxes, view, size), points_in_view(points, view, size)
    return undo_view(network.decode(embedding, turned_boxes, turned_points, point_labels, None)[0][0], view)
