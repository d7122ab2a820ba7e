"""What a training step sees: prompts drawn from the truth, what they ask for, and how that reaches the network."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable

from .normalisation import fit_to, to_input
from .prompts import boxes_of, jitter_boxes, random_points
from .targets import part_of, soft_targets

__all__ = ["PreparePrompts", "RandPromptsd", "image_weights"]


def image_weights(items: Sequence[Mapping[str, Any]]) -> list[float]:
    """How often to draw each item, so that every image is drawn as often, of however many tiles it is.

    Parameters
    ----------
    items : sequence of mapping
        With the path of their image under ``image``.

    Returns
    -------
    list of float
        For PyTorch's `WeightedRandomSampler`; they sum to the number of images.
    """
    numbers = Counter(item["image"] for item in items)
    return [1 / numbers[item["image"]] for item in items]


class RandPromptsd(MapTransform, Randomizable):
    """Draws fibres of an image, prompts for them, and what the network shall answer.

    Adds ``boxes`` (k, 4) and ``points`` (k, 1, 2) in pixels of the network's input, ``point_labels`` (k, 1),
    ``targets`` (k, 1, S / 4, S / 4), shares of cells from 0 to 1, float32, all for k fibres.

    Parameters
    ----------
    keys : collection of str
        Label map of the fibres (1, Y, X), axon and sheath under one label; it is taken out.
    axon_key : str
        Mask of the axons (1, Y, X); it is taken out.
    size : int
        S, side of the network's input, into which the image is fitted.
    num_prompts : int
        Fibres of which each gets a prompt; fewer where there are fewer, all of them with another draw of the points.
    max_jitter : float
        Largest number of pixels of the input that a side of a box is moved outwards; how many it is for a box is drawn.
    point_share, box_share : float
        Of the prompts, those with a point in the axon, and those of these that keep their box.
    min_pixels : int
        Fibres of which less is to be seen are not asked for.
    part : str
        What of a fibre is asked for: ``myelin``, ``axon`` or ``fibre``.
    """

    def __init__(
        self,
        keys: KeysCollection,
        size: int,
        num_prompts: int,
        *,
        axon_key: str = "axon",
        max_jitter: float = 20,
        point_share: float = 0.5,
        box_share: float = 0.6,
        min_pixels: int = 60,
        part: str = "myelin",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.axon_key, self.size, self.num_prompts, self.part = axon_key, size, num_prompts, part
        self.max_jitter, self.min_pixels = max_jitter, min_pixels
        self.point_share, self.box_share = point_share, box_share

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        for key in self.key_iterator(data):
            labels = np.asarray(data.pop(key))[0].astype(np.int32)
            axon = np.asarray(data.pop(self.axon_key))[0] > 0
            data |= self.draw(labels, axon)
        return data

    def draw(self, labels: np.ndarray, axon: np.ndarray) -> dict[Hashable, torch.Tensor]:
        """The tensors that are added, of a label map and a mask of the same shape (Y, X)."""
        rng = np.random.default_rng(self.R.randint(2**31))
        fit = fit_to(labels.shape, self.size)
        ids, boxes = self._choose(labels, axon, rng)
        targets = soft_targets(labels, axon, ids, boxes, fit, part=self.part)
        jitter = rng.integers(0, int(self.max_jitter) + 1, len(ids))  # of each box, so that close ones are as common
        boxes_of_users = [
            jitter_boxes(box[None], labels.shape, max_px=int(largest / fit.scale[1]), rng=rng)[0]
            for box, largest in zip(boxes, jitter, strict=True)
        ]
        loose = np.array(boxes_of_users, float).reshape(-1, 4)
        points, point_labels = random_points(np.where(axon, labels, 0), ids, rng=rng)
        pointed = (rng.random(len(ids)) < self.point_share) & (point_labels[:, 0] == 1)
        point_labels[~pointed] = -1
        loose[pointed & (rng.random(len(ids)) >= self.box_share)] = np.nan
        return {
            "boxes": torch.from_numpy(to_input(loose, fit)),
            "points": torch.from_numpy(to_input(points, fit)),
            "point_labels": torch.from_numpy(point_labels),
            "targets": torch.from_numpy(targets),
        }

    def _choose(self, labels: np.ndarray, axon: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Ids and boxes of some of the fibres of which enough of the wanted part is to be seen."""
        ids, boxes = boxes_of(labels)
        wanted = part_of(labels > 0, axon, self.part)
        areas = np.bincount(labels[wanted], minlength=int(ids.max(initial=0)) + 1)[ids]
        visible = np.flatnonzero(areas >= self.min_pixels)
        chosen = rng.permutation(visible)[: self.num_prompts]
        return ids[chosen], boxes[chosen]


class PreparePrompts:
    """A ``prepare_batch`` for MONAI's engines: the prompts of a batch go to the network, their targets to the loss."""

    def __call__(
        self, batchdata: Mapping[str, torch.Tensor], device: Any = None, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor, tuple, dict[str, Any]]:
        """Image or embedding (B, ...), targets (B, n, 1, h, w), and what else the network is called with.

        The batch is what `pad_prompts` makes of what `RandPromptsd` adds, and ``image``.
        """

        def moved(key: str) -> torch.Tensor:
            return batchdata[key].to(device=device, non_blocking=non_blocking)

        prompts = {key: moved(key) for key in ("boxes", "points", "point_labels", "present")}
        return moved("image").float(), moved("targets"), (), prompts
