"""One object per nucleus: a watershed of the foreground that starts from the markers."""

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type, convert_to_numpy
from scipy import ndimage
from skimage.segmentation import watershed

__all__ = ["Instances", "SegmentInstancesd", "segment_instances"]

logger = logging.getLogger(__name__)

MAX_LISTED = 10


@dataclass(frozen=True)
class Instances:
    """Nuclei as objects.

    Attributes
    ----------
    labels : ndarray of int32, shape of the volume
        0 is background. An object that a marker began has the marker's number; those without one come after them.
    outside : ndarray of int, shape (n,)
        Numbers of the markers that no voxel of the foreground belongs to; they have no object.
    without_marker : ndarray of int, shape (m,)
        Labels of the objects that no marker began.
    """

    labels: np.ndarray
    outside: np.ndarray
    without_marker: np.ndarray


def segment_instances(
    foreground: np.ndarray,
    markers: np.ndarray,
    *,
    sampling: Sequence[float] | None = None,
    voxel_volume: float = 1.0,
    min_volume: float = 0.0,
) -> Instances:
    """Split a foreground into objects by a watershed on its distance transform, one basin per marker.

    Parameters
    ----------
    foreground : ndarray of bool, any number of axes
        Voxels of all nuclei.
    markers : ndarray of int, same shape
        0 is background, i the marker of nucleus i; what of it lies outside the foreground is ignored.
    sampling : sequence of float, optional
        Size of a voxel along each axis, for distances in micrometres; distances are in voxels without it.
    voxel_volume : float
        In µm³.
    min_volume : float
        Connected foreground without a marker becomes an object if it is at least this large, in µm³.
    """
    foreground = foreground.astype(bool)
    # in C order: scikit-image's watershed floods a copy of markers in Fortran order, and returns them unflooded
    seeds = np.where(foreground, markers, 0).astype(np.int32, order="C")
    distance = ndimage.distance_transform_edt(foreground, sampling=sampling)
    labels = watershed(-distance, seeds, mask=foreground).astype(np.int32)
    highest = int(markers.max(initial=0))
    unmarked, _ = ndimage.label(foreground & (labels == 0))
    volumes = np.bincount(unmarked.ravel()) * voxel_volume
    kept = np.flatnonzero(volumes[1:] >= min_volume) + 1
    numbers = np.zeros(len(volumes), np.int32)
    numbers[kept] = highest + 1 + np.arange(len(kept))
    outside = np.setdiff1d(np.unique(markers), np.append(np.unique(seeds), 0))
    return Instances(labels + numbers[unmarked], outside, numbers[kept])


class SegmentInstancesd(MapTransform):
    """Dictionary form of `segment_instances`: markers (1, X, Y, Z) become objects.

    The labels of the objects that no marker began are added under ``<key>_without_marker``; markers outside the
    foreground are reported in the log.

    Parameters
    ----------
    keys : collection of str
        Markers, which carry the spacing and the name of their image.
    foreground_key : str
        Mask or probability (1, X, Y, Z) on the same grid.
    threshold : float
        Foreground is what lies above it.
    unit : {"voxel", "um"}
        Unit of the distances that the watershed floods.
    min_volume : float
        As for `segment_instances`.

    Raises
    ------
    ValueError
        If the unit is another one.
    """

    def __init__(
        self,
        keys: KeysCollection,
        foreground_key: str = "foreground",
        threshold: float = 0.5,
        unit: str = "voxel",
        min_volume: float = 0.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if unit not in ("um", "voxel"):
            raise ValueError(f"unit is {unit!r}, expected 'um' or 'voxel'")
        self.foreground_key, self.threshold, self.unit, self.min_volume = foreground_key, threshold, unit, min_volume

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        foreground = convert_to_numpy(data[self.foreground_key])[0] > self.threshold
        for key in self.key_iterator(data):
            spacing = convert_to_numpy(data[key].pixdim)
            instances = segment_instances(
                foreground,
                convert_to_numpy(data[key])[0],
                sampling=spacing if self.unit == "um" else None,
                voxel_volume=float(np.prod(spacing)),
                min_volume=self.min_volume,
            )
            if instances.outside.size:
                logger.warning(
                    "%s: %d markers lie outside the foreground and have no object: %s%s",
                    data[key].meta.get("filename_or_obj", key),
                    len(instances.outside),
                    ", ".join(map(str, instances.outside[:MAX_LISTED])),
                    ", ..." if len(instances.outside) > MAX_LISTED else "",
                )
            data[key] = convert_to_dst_type(instances.labels[None], data[key], dtype=torch.int32)[0]
            data[f"{key}_without_marker"] = instances.without_marker
        return data
