"""MONAI transforms that read pictures and the label maps that belong to them."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from .checking import check_all
from .pictures import check_shape, read_gray, read_labels

__all__ = ["ReadGrayd", "ReadLabelsd", "check_images", "to_tensor"]


class ReadGrayd(MapTransform):
    """Reads gray images as MetaTensors (1, Y, X) of float32, with ``filename_or_obj`` and ``original_shape`` (Y, X).

    Raises
    ------
    InputError
        As `read_gray`.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        for key in self.key_iterator(data):
            data[key] = to_tensor(read_gray(data[key])[None].astype(np.float32), data[key])
        return data


class ReadLabelsd(MapTransform):
    """Reads label maps and masks as MetaTensors (1, Y, X) of int32, to be used after their image was read.

    Parameters
    ----------
    keys : collection of str
        Paths of label maps, or of masks, whose foreground stays what it is in the file.
    image_key : str
        The image that they belong to.

    Raises
    ------
    InputError
        As `read_labels`, or if its size differs from that of its image.
    """

    def __init__(self, keys: KeysCollection, image_key: str = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        meta = data[self.image_key].meta
        for key in self.key_iterator(data):
            labels = read_labels(data[key])
            check_shape(data[key], labels.shape, meta["filename_or_obj"], meta["original_shape"])
            data[key] = to_tensor(labels[None], data[key])
        return data


def to_tensor(pixels: np.ndarray, path: Any) -> MetaTensor:
    """Pixels (C, Y, X) that know their file and their size."""
    meta = {"filename_or_obj": str(path), "original_shape": pixels.shape[1:]}
    return MetaTensor(torch.from_numpy(pixels), meta=meta)


def check_images(items: Sequence[Mapping[str, Any]]) -> None:
    """`check_all` for gray images."""
    check_all(items, read_gray)
