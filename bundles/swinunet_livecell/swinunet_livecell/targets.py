"""What the network learns about cells: where they are, how deep a pixel lies in one, and where two are near."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from scipy import ndimage

__all__ = ["MakeTargetsd", "cell_targets"]


def cell_targets(labels: np.ndarray, border_px: float = 3.0) -> np.ndarray:
    """What is learned of a label image.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        0 is background, every positive number a cell.
    border_px : float
        How near to two cells a pixel is a border between them, in pixels.

    Returns
    -------
    ndarray of float32, shape (3, Y, X)
        From 0 to 1. First: whether it is a cell. Second: the distance to the nearest pixel that is not of this cell,
        over the largest such distance in it, so that every cell has one summit of 1, however small it is. The border of
        the image is none of the cell: there it is cut. Third: whether it is a border between two cells, in
        the gap of which, or on both sides of which, it lies.
    """
    depth, num_near = np.zeros(labels.shape, np.float32), np.zeros(labels.shape, np.uint8)
    reach = int(np.ceil(border_px))
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        grown = tuple(slice(max(axis.start - reach - 1, 0), axis.stop + reach + 1) for axis in box)
        inside = labels[grown] == label
        distance = ndimage.distance_transform_edt(inside) if not inside.all() else np.ones(inside.shape)
        depth[grown] += (distance / distance.max()).astype(np.float32)
        num_near[grown] += ndimage.distance_transform_edt(~inside) <= border_px
    return np.stack([labels > 0, depth, num_near > 1]).astype(np.float32)


class MakeTargetsd(MapTransform):
    """Dictionary form of `cell_targets`, of label images (1, Y, X)."""

    def __init__(self, keys: KeysCollection, border_px: float = 3.0, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.border_px = border_px

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        for key in self.key_iterator(data):
            labels = np.asarray(data[key])[0].astype(np.int32)
            data[key] = torch.from_numpy(cell_targets(labels, self.border_px))
        return data
