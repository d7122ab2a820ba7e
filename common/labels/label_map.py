"""Label maps of pictures as MONAI orders and types them, for programs that show what a bundle found."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import convert_to_numpy

__all__ = ["PictureLabelsd", "compact_labels"]


def compact_labels(labels: np.ndarray) -> np.ndarray:
    """Labels in the smallest type that holds them and that picture formats know: uint8, uint16 or int32."""
    highest = int(labels.max(initial=0))
    return labels.astype(next((kind for kind in (np.uint8, np.uint16) if highest <= np.iinfo(kind).max), np.int32))


class PictureLabelsd(MapTransform):
    """Replaces the prediction for a picture by its label map, in MONAI's order (X, Y) and without a channel.

    So MONAI Label writes it on the picture's own grid; MONAI's own readers of pictures give that order, too.

    Parameters
    ----------
    keys : collection of str
        What is replaced; metadata stay.
    labels_key : str
        Label map (1 or more, Y, X), whose first channel counts.
    """

    def __init__(self, keys: KeysCollection, labels_key: str, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.labels_key = labels_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        labels = torch.from_numpy(compact_labels(convert_to_numpy(data[self.labels_key])[0].T))
        for key in self.key_iterator(data):
            meta = data[key].meta if isinstance(data[key], MetaTensor) else None
            data[key] = MetaTensor(labels, meta=meta)
        return data
