"""Instances of whole volumes from a network that looks at slices."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.utils import convert_to_numpy
from tqdm import tqdm

from .common.errors import InputError
from .detections import SliceObjects, paint_detections
from .linking import SliceLinker, link_slices
from .smoothing import smooth_objects
from .splitting import split_along_z
from .targets import check_num_slices, stack_indices

__all__ = ["SCORES", "VolumeInstanceInferer"]

SCORES = "instance_scores"


class VolumeInstanceInferer(Inferer):
    """Detects in a volume slice by slice, links what it finds, cuts what lies on top of each other, and smooths it.

    The volume may be of any depth. Beside volume and result, the probabilities of all masks in half precision, the
    detections of one slab, a few painted slices and, where the network shares them, the features of a slab are in
    memory. The volume may stay on the CPU; slabs go to
    the network's device.

    Parameters
    ----------
    num_slices : int
        Slices that the network sees at once, odd; at the ends of the volume the last slice is repeated.
    slab : int
        Slices whose detections are computed together.
    mask_threshold, min_area_px, min_visible
        As for `paint_detections`.
    min_iou, max_gap, min_slices, fill_gaps
        As for `SliceLinker`.
    max_valley, min_tail
        As for `split_along_z`.
    smoothing : sequence of float
        ``sigma`` of `smooth_objects`; all 0 leave objects as they were painted.
    object_threshold : float
        ``threshold`` of `smooth_objects`, which looks at the highest probability of all masks in a voxel.
    progress : bool
        Whether to show a bar that counts slices.

    Raises
    ------
    InputError
        If a setting is out of range, or the volume is not of shape (1, 1, Z, Y, X).
    """

    def __init__(
        self,
        num_slices: int,
        slab: int = 8,
        *,
        mask_threshold: float = 0.5,
        min_area_px: int = 10,
        min_visible: float = 0.5,
        min_iou: float = 0.3,
        max_gap: int = 1,
        min_slices: int = 2,
        fill_gaps: bool = True,
        max_valley: float = 0.9,
        min_tail: float = 0.2,
        smoothing: Sequence[float] = (0, 0, 0),
        object_threshold: float = 0.5,
        progress: bool = False,
    ) -> None:
        super().__init__()
        check_num_slices(num_slices)
        if slab < 1:
            raise InputError(f"slab is {slab}, expected at least one slice at a time")
        self.painting: dict[str, Any] = {
            "mask_threshold": mask_threshold,
            "min_area_px": min_area_px,
            "min_visible": min_visible,
        }
        self.linking: dict[str, Any] = {
            "min_iou": min_iou,
            "max_gap": max_gap,
            "min_slices": min_slices,
            "fill_gaps": fill_gaps,
        }
        SliceLinker(**self.linking)  # refuses wrong settings before hours of work
        if not (0 <= max_valley <= 1 and 0 <= min_tail <= 1):
            raise InputError(f"max_valley is {max_valley}, min_tail {min_tail}: expected numbers from 0 to 1")
        self.splitting: dict[str, Any] = {"max_valley": max_valley, "min_tail": min_tail, "min_slices": min_slices}
        if np.shape(smoothing) != (3,) or not np.all(np.asarray(smoothing) >= 0) or not 0 < object_threshold < 1:
            raise InputError(
                f"smoothing is {smoothing}, object_threshold {object_threshold}: expected three numbers from 0, in "
                "voxels along Z, Y and X, and a probability between 0 and 1"
            )
        self.smoothing: dict[str, Any] = {"sigma": tuple(smoothing), "threshold": object_threshold}
        self.num_slices, self.slab, self.progress = num_slices, slab, progress

    @torch.no_grad()
    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args, **kwargs) -> MetaTensor:
        """Instances 1..n of a normalized volume (1, 1, Z, Y, X), int32, on its device and with its metadata.

        The network has ``detect(stacks)``: of stacks (b, num_slices, Y, X) a list of b dictionaries with ``boxes``,
        ``scores`` and ``masks`` as torchvision's; or ``detect_volume(volume, batch_size=slab)``, which yields one for
        every slice of a volume (Z, Y, X) and is preferred. ``meta["instance_scores"]``, float32 (1, n), is the mean
        score of object i + 1, or of the one it was cut from; `TakeScoresd` unpacks it.
        """
        if inputs.ndim != 5 or inputs.shape[:2] != (1, 1):
            raise InputError(
                f"an image of shape {tuple(inputs.shape)}: expected one gray volume (1, 1, Z, Y, X); "
                "set batch_size 1, and give volumes, not single slices"
            )
        volume = inputs.as_subclass(torch.Tensor)[0, 0]
        found = self._detect(volume, getattr(network, "module", network))
        shown = tqdm(found, total=len(volume), desc="slices", disable=not self.progress, leave=False)
        probability = np.zeros(volume.shape, np.float16)
        linked = link_slices(self._paint_all(shown, probability), volume.shape, **self.linking)
        pieces, parents = split_along_z(linked.labels, convert_to_numpy(volume), **self.splitting)
        if any(self.smoothing["sigma"]):
            pieces = smooth_objects(pieces, probability, **self.smoothing)
            kept = np.flatnonzero(np.bincount(pieces.ravel())[1:]) + 1
            numbers = np.zeros(len(parents) + 1, np.int32)
            numbers[kept] = np.arange(1, len(kept) + 1)
            pieces, parents = numbers[pieces], parents[kept - 1]
        labels = MetaTensor(torch.from_numpy(pieces)[None, None].to(inputs.device))
        scores = torch.from_numpy(linked.scores[parents - 1])
        if isinstance(inputs, MetaTensor):
            labels.copy_meta_from(inputs)
            if (
                not inputs.is_batch
            ):  # an item that was given an axis, as MONAI Label does; its metadata were not collated
                labels.meta[SCORES] = scores
                return labels
        else:
            labels.meta["affine"] = labels.affine[None]
        labels.is_batch = True
        labels.meta[SCORES] = scores[None]
        return labels

    def _detect(self, volume: torch.Tensor, network: Any) -> Iterator[Mapping[str, torch.Tensor]]:
        """What the network finds in each slice."""
        if hasattr(network, "detect_volume"):
            yield from network.detect_volume(volume, batch_size=self.slab)
            return
        device = next((parameter.device for parameter in network.parameters()), volume.device)
        for centres in torch.arange(len(volume)).split(self.slab):
            yield from network.detect(volume[stack_indices(centres, len(volume), self.num_slices)].to(device))

    def _paint_all(
        self, found: Iterable[Mapping[str, torch.Tensor]], probability: np.ndarray
    ) -> Iterator[SliceObjects]:
        """Objects of each slice, and into its plane of ``probability`` the highest of all masks."""
        for plane, detections in zip(probability, found, strict=True):
            boxes, scores, masks = (convert_to_numpy(detections[key].detach()) for key in ("boxes", "scores", "masks"))
            plane[:] = masks.reshape(-1, *plane.shape).max(axis=0, initial=0)
            yield paint_detections(boxes, scores, masks, **self.painting)
