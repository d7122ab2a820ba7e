"""What the network learns of a slide: crypts, and their cores, which touching crypts do not share."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from scipy import ndimage

from .tissue import has_data

__all__ = ["IGNORED", "HideUnknownd", "MakeTargetsd", "cores"]

IGNORED = -1


def cores(labels: np.ndarray, depth: float) -> np.ndarray:
    """Pixels of objects that lie deeper in them than a border of a given width.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        Label image, 0 is background.
    depth : float
        Distance from the nearest pixel of anything else, another object included, that a core exceeds.

    Returns
    -------
    ndarray of bool, shape (Y, X)
    """
    result = np.zeros(labels.shape, bool)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            # the border of the image is no border of the object: there it is cut
            grown = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
            inside = labels[grown] == label
            if inside.all():
                result[grown] = True
            else:
                result[grown] |= ndimage.distance_transform_edt(inside) > depth
    return result


class MakeTargetsd(MapTransform):
    """Replaces a label image (1, Y, X) by what is learned from it, int8 (2, Y, X): crypts and their cores.

    Both are ignored, -1, where the slide shows no data: whether there are crypts is not known there.

    Parameters
    ----------
    keys : collection of str
        Label images at the working resolution.
    image_key : str
        The slide, uint8 (3, Y, X).
    core_depth : float
        As for `cores`, in working pixels.
    """

    def __init__(
        self, keys: KeysCollection, core_depth: float, image_key: str = "image", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.core_depth, self.image_key = core_depth, image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        known = has_data(torch.as_tensor(data[self.image_key])).numpy()
        for key in self.key_iterator(data):
            labels = np.asarray(data[key])[0].astype(np.int32)
            targets = np.stack([labels > 0, cores(labels, self.core_depth)]).astype(np.int8)
            data[key] = torch.from_numpy(np.where(known, targets, np.int8(IGNORED)))
        return data


class HideUnknownd(MapTransform):
    """Makes an image black wherever the targets under ``label_key`` are ignored, as regions without data are."""

    def __init__(self, keys: KeysCollection, label_key: str = "label", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.label_key = label_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        known = data[self.label_key][:1] >= 0
        for key in self.key_iterator(data):
            data[key] = data[key] * known
        return data
