"""Fibres of images of any size, from prompts or without any."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.utils import convert_to_numpy
from tqdm import tqdm

from .automatic import fibres_from_classes, has_bright_myelin, prompts_from_classes
from .common.errors import InputError
from .fibre_size import choose_zoom
from .fibres import Fibre, FibreMaps, fibres_of_logits, merge_fibres, moved
from .fitting import fitting_fibres
from .look import Look, read_look, write_look
from .normalisation import Fit, to_input
from .prompt_sources import as_prompts
from .prompts import Prompts, check_inside
from .segmenter import CLASSES, SHOWN, class_probabilities
from .targets import PARTS
from .tile_embeddings import PromptedNetwork, TileEmbeddings
from .tiles import AUTO, Tile, cut_tiles, tile_of_boxes, tile_side
from .views import NUM_VIEWS, boxes_in_view, points_in_view, undo_view

__all__ = ["FibreInferer", "prompts_in_tile"]

NONE = "none"


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
    probabilities of ground, myelin and axon.

    Parameters
    ----------
    automatic : bool
        Whether fibres are found by the network's segmenter. Of prompts, only those in the image's metadata are then
        answered, see `ClickedPromptsd`.
    tile_px : int or "auto"
        Side of the tiles in pixels of the image; ``auto``: see `choose_tile_px`, by ``pixel_size_um`` in the metadata,
        and where the segmenter has a part in the result, by the fibres that it sees, see `choose_zoom`.
    looked : path or "none"
        Where fibres are found without prompts, a file of the magnification, and whether myelin is bright: followed
        where it exists, else written, so that all parts of an image are segmented alike; see `Look`.
    halo : float
        Share of a tile's side by which tiles at least reach over their cores.
    part : str
        What the network draws: ``myelin``, ``axon`` or ``fibre``. The axon of a ``fibre`` comes from the segmenter.
    threshold : float
        Probability from which a pixel belongs to a mask.
    min_visible
        As for `merge_fibres`; only where fibres are found without prompts. Of those that were asked for, whatever can
        be seen is kept.
    axon_share, min_axon_px, min_solidity, min_sheath, keep_bare_axons
        As for `find_fibres`; pixels are those that the segmenter sees. Only fibres that are found without prompts may
        be bare axons.
    axon_share_bright : float, optional
        ``axon_share`` of images whose myelin is brighter than their axons, see `has_bright_myelin`; the same if it is
        not given.
    min_fit : float or "none"
        A box or point that means a fibre that the segmenter finds, see `fitting_fibres`, gets that fibre; ``none``
        leaves all prompts to the mask decoder.
    prompts_per_batch : int
        Masks that are drawn at once.
    refine : bool
        Whether fibres that are found without prompts are drawn by the mask decoder, prompted by what the segmenter
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
        looked: str = NONE,
        halo: float = 0.2,
        part: str = "myelin",
        threshold: float = 0.5,
        min_visible: float = 0.0,
        axon_share: float = 0.5,
        axon_share_bright: float | None = None,
        min_axon_px: float = 20,
        min_solidity: float = 0.0,
        min_sheath: float = 0.0,
        keep_bare_axons: bool = False,
        min_fit: float | str = NONE,
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
        self.looked, self.look = looked, read_look(looked) if automatic else None
        if min_fit != NONE and (isinstance(min_fit, (str, bool)) or not 0 < min_fit <= 1):
            raise InputError(f"--min_fit {min_fit}: expected an IoU above 0, 1 at most, or none")
        self.threshold, self.min_visible, self.min_axon_px = threshold, min_visible, min_axon_px
        bright = axon_share if axon_share_bright is None else axon_share_bright
        shares = {"axon_share": axon_share, "axon_share_bright": bright}
        for name, share in shares.items():
            if not 0 < share < 1:
                raise InputError(f"--{name} {share}: expected a number between 0 and 1")
        if keep_bare_axons and refine and automatic:
            raise InputError(
                "--keep_bare_axons True with --refine True: the mask decoder draws a sheath around every axon; "
                "leave out one of them"
            )
        self.axon_share, self.axon_share_bright = axon_share, bright
        self.keep_bare_axons = keep_bare_axons
        self.min_solidity, self.min_sheath, self.min_fit = min_solidity, min_sheath, min_fit
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
        zoom = self.look.zoom if self.look else self._zoom(image, bare, device, _pixel_size_um(inputs))
        tile_px = round(SHOWN * bare.image_size / zoom)
        tiles = cut_tiles(image.shape[1:], tile_px=tile_px, halo_px=int(self.halo * tile_px))
        embeddings = TileEmbeddings(image, tiles, bare, device)
        if self.automatic:
            prompts = inputs.meta.get("prompts") if isinstance(inputs, MetaTensor) else None
        elif prompts is None:
            prompts = torch.zeros(1, 0, 7)
        given = None if prompts is None else as_prompts(prompts)
        if given is not None:
            check_inside(given, image.shape[1:], "prompts")
        return _as_result(self._find(embeddings, given, zoom=zoom), inputs)

    def _zoom(self, image: torch.Tensor, network: PromptedNetwork, device: torch.device, pixel_size_um: float) -> float:
        """Pixels that the segmenter sees per pixel of the image; tiles of prompts are magnified in proportion."""
        zoom = SHOWN * network.image_size / tile_side(self.tile_px, pixel_size_um, network.image_size)
        if self.tile_px != AUTO or not (self.automatic or self._may_fit or self.part == "fibre"):
            return zoom
        expected = None if math.isnan(pixel_size_um) else zoom
        return choose_zoom(image, network.segment, device, expected=expected)

    def _find(self, embeddings: TileEmbeddings, prompts: Prompts | None, *, zoom: float) -> FibreMaps:
        """The maps of an image; without prompts, of the fibres that the segmenter finds at this magnification."""
        shape, axon = tuple(embeddings.image.shape[1:]), None
        if prompts is None:
            classes = self._classes(embeddings, zoom)
            look = self._looked(embeddings, classes, zoom)
            options = self._options(look)
            if not self.refine:
                segmented = fibres_from_classes(*classes, **options, keep_bare_axons=self.keep_bare_axons)
                maps = merge_fibres(segmented, shape, min_visible=self.min_visible)
                if self.looked != NONE and self.look is None:
                    write_look(self.looked, look, maps.labels)
                return maps
            prompts, axon = prompts_from_classes(*classes, **options)
            fibres = self._draw_all(embeddings, prompts, axon if self.part == "fibre" else None)
            return merge_fibres(fibres, shape, ids=prompts.ids, min_visible=self.min_visible)
        known: list[Fibre | None] = [None] * len(prompts.ids)
        if known and (self.part == "fibre" or self._may_fit):
            classes = self._classes(embeddings, zoom)
            if self._may_fit:
                look = self._looked(embeddings, classes, zoom)
                found = fibres_from_classes(*classes, **self._options(look))
                known = fitting_fibres(prompts, found, min_iou=float(self.min_fit))
            if self.part == "fibre":
                axon = (classes[1] >= self.threshold) & (classes[1] >= classes[0])
        fibres = self._draw_all(embeddings, prompts, axon, known)
        return merge_fibres(fibres, shape, ids=prompts.ids)

    def _looked(self, embeddings: TileEmbeddings, classes: np.ndarray, zoom: float) -> Look:
        """What an earlier call decided, else what this image says."""
        return self.look or Look(zoom, has_bright_myelin(convert_to_numpy(embeddings.image[0]), *classes))

    def _options(self, look: Look) -> dict[str, Any]:
        """Parameters of `find_fibres` for an image."""
        return {
            "threshold": self.threshold,
            "axon_share": self.axon_share_bright if look.has_bright_myelin else self.axon_share,
            "min_axon_px": self.min_axon_px / look.zoom**2,
            "min_solidity": self.min_solidity,
            "min_sheath": self.min_sheath,
        }

    @property
    def _may_fit(self) -> bool:
        return self.min_fit != NONE and self.part != "axon"

    def _classes(self, embeddings: TileEmbeddings, zoom: float) -> np.ndarray:
        """Probabilities (2, Y, X) of myelin and axon."""
        found = class_probabilities(
            embeddings.image,
            embeddings.network.segment,
            embeddings.device,
            zoom=zoom,
            views=self.views,
            progress=self.progress,
        )
        return found[[CLASSES.index("myelin"), CLASSES.index("axon")]].numpy()

    def _draw_all(
        self,
        embeddings: TileEmbeddings,
        prompts: Prompts,
        axon: np.ndarray | None,
        known: Sequence[Fibre | None] | None = None,
    ) -> list[Fibre | None]:
        """The fibre of each prompt, by the decoder where it is not known already; ``axon`` as for `fibre_of_mask`."""
        fibres: list[Fibre | None] = [None] * len(prompts.ids) if known is None else list(known)
        unknown = np.flatnonzero([fibre is None for fibre in fibres])
        for place, fibre in self._draw(embeddings, Prompts(*(values[unknown] for values in prompts)), axon):
            fibres[unknown[place]] = fibre
        return fibres

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
        result.is_batch = inputs.is_batch  # MONAI Label gives an item an axis, and its metadata are not collated
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
