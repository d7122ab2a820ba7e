"""What the segmenter learns from: images at the size at which it sees them, their classes, and its loss."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.losses import DiceLoss
from monai.transforms import MapTransform
from scipy import ndimage
from torch import nn

from .evaluation import modality_of
from .segmenter import CLASSES, SHOWN
from .tiles import AUTO, tile_side

__all__ = ["ClassesOfFibresd", "SegmenterLoss", "ShowFibresd", "modality_weights"]

_UNIT = 1000  # pixels of a tile, so that its side tells the magnification


def modality_weights(items: Sequence[Mapping[str, Any]]) -> list[float]:
    """How often to draw each image, so that every modality is drawn as often, and in it every image.

    Parameters
    ----------
    items : sequence of mapping
        With the path of their image under ``image``, whose name tells the modality, see `modality_of`.

    Returns
    -------
    list of float
        For PyTorch's `WeightedRandomSampler`.
    """
    modalities = [modality_of(item["image"]) for item in items]
    numbers = Counter(modalities)
    return [1 / numbers[modality] for modality in modalities]


class ShowFibresd(MapTransform):
    """Resizes an image and its label maps to the size at which the segmenter sees it, by the size of its pixels.

    Parameters
    ----------
    keys : collection of str
        Tensors (C, Y, X), the image first, with ``pixel_size_um`` in its metadata; label maps keep their labels.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        image = data[self.keys[0]]
        zoom = SHOWN * _UNIT / tile_side(AUTO, image.meta["pixel_size_um"], _UNIT)
        size = tuple(max(1, round(side * zoom)) for side in image.shape[1:])
        for key in self.key_iterator(data):
            pixels = data[key].as_tensor().float()[None]
            if key == self.keys[0]:
                shown = F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)
            else:
                shown = F.interpolate(pixels, size, mode="nearest-exact")
            data[key] = MetaTensor(shown[0], meta=data[key].meta)
        return data


class ClassesOfFibresd(MapTransform):
    """Makes of the label map of the fibres what `SegmenterLoss` wants, and takes out the masks.

    Parameters
    ----------
    keys : collection of str
        Label map of the fibres (1, Y, X), axon and sheath under one label.
    axon_key, myelin_key : str
        Masks (1, Y, X).
    gap_weight, gap_px
        As for `gap_weights`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        axon_key: str = "axon",
        myelin_key: str = "myelin",
        gap_weight: float = 3.0,
        gap_px: float = 6.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.axon_key, self.myelin_key, self.gap_weight, self.gap_px = axon_key, myelin_key, gap_weight, gap_px

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        axon, myelin = (np.asarray(data.pop(key))[0] > 0 for key in (self.axon_key, self.myelin_key))
        for key in self.key_iterator(data):
            labels = np.asarray(data[key])[0].astype(np.int32)
            classes = np.where(axon, CLASSES.index("axon"), np.where(myelin, CLASSES.index("myelin"), 0))
            weights = gap_weights(np.where(axon, labels, 0), weight=self.gap_weight, reach_px=self.gap_px)
            data[key] = torch.from_numpy(np.stack([classes, weights]).astype(np.float32))
        return data


def gap_weights(axons: np.ndarray, *, weight: float, reach_px: float) -> np.ndarray:
    """How much each pixel counts: more where it alone keeps two axons apart.

    Parameters
    ----------
    axons : ndarray of int, shape (Y, X)
        Each under a label of its own.
    weight : float
        Of pixels halfway between two axons; all others count 1.
    reach_px : float
        As far from an axon at most.

    Returns
    -------
    ndarray of float32, shape (Y, X)
    """
    weights = np.ones(axons.shape, np.float32)
    if not axons.any():
        return weights
    distance, (rows, columns) = ndimage.distance_transform_edt(axons == 0, return_indices=True)
    nearest = axons[rows, columns]
    halfway = ndimage.maximum_filter(nearest, 3) != ndimage.minimum_filter(nearest, 3)
    weights[halfway & (distance > 0) & (distance <= reach_px)] = weight
    return weights


class SegmenterLoss(nn.Module):
    """Cross entropy, in which some pixels count more, plus the soft Dice loss of myelin and axon over the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.dice = DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss of a batch.

        Parameters
        ----------
        logits : Tensor of float, shape (B, 3, Y, X)
        targets : Tensor of float, shape (B, 2, Y, X)
            Classes, and how much each pixel counts.

        Returns
        -------
        Tensor of float, shape ()
        """
        classes, weights = targets[:, 0].long(), targets[:, 1]
        entropy = F.cross_entropy(logits, classes, reduction="none")
        return (entropy * weights).sum() / weights.sum() + self.dice(logits, classes[:, None])
