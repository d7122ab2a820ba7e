"""From the probability of nuclear centres to one marker per nucleus."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type, convert_to_numpy
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.morphology import local_maxima
from skimage.segmentation import watershed

__all__ = ["FindMarkersd", "Markers", "find_markers"]


@dataclass(frozen=True)
class Markers:
    """Detected nuclei, the most certain first.

    Attributes
    ----------
    labels : ndarray of int32, shape of the volume
        0 is background, i the marker of nucleus i.
    centres : ndarray of float, shape (n, ndim)
        Centroids of the markers in voxels, weighted by probability.
    scores : ndarray of float, shape (n,)
        Highest probability in each marker.
    """

    labels: np.ndarray
    centres: np.ndarray
    scores: np.ndarray


def find_markers(
    probability: np.ndarray,
    spacing: Sequence[float],
    *,
    threshold: float = 0.5,
    min_distance: float = 4.0,
    min_volume: float = 0.0,
) -> Markers:
    """Local maxima of a probability, each with the region around it that lies above the threshold.

    Parameters
    ----------
    probability : ndarray of float, any number of axes
        Probability that a voxel lies near the centre of a nucleus.
    spacing : sequence of float
        Size of a voxel along each axis, in micrometres.
    threshold : float
        Voxels above it belong to markers.
    min_distance : float
        Of maxima that lie at most this far apart, in micrometres, only the highest is kept. The probability is smoothed
        by a quarter of it before.
    min_volume : float
        Smaller markers are dropped, in µm³.
    """
    inside = probability > threshold
    smooth = ndimage.gaussian_filter(probability.astype(np.float32), [min_distance / 4 / step for step in spacing])
    smooth[~inside] = 0
    peaks = _find_peaks(smooth)
    peaks = peaks[_far_apart(peaks * np.asarray(spacing), min_distance)]
    seeds = np.zeros(probability.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    regions = watershed(-smooth, seeds, connectivity=probability.ndim, mask=inside)  # all neighbours, as for maxima
    sizes = np.bincount(regions.ravel(), minlength=len(peaks) + 1)[1:]
    kept = np.flatnonzero((sizes > 0) & (sizes * np.prod(spacing) >= min_volume)) + 1
    scores = np.array(ndimage.maximum(probability, regions, kept)).reshape(-1)
    kept, scores = kept[order := np.argsort(-scores, kind="stable")], scores[order]
    renumber = np.zeros(len(peaks) + 1, np.int32)
    renumber[kept] = np.arange(1, len(kept) + 1)
    labels = renumber[regions]
    centres = np.array(ndimage.center_of_mass(probability, labels, np.arange(1, len(kept) + 1)))
    return Markers(labels, centres.reshape(-1, probability.ndim), scores)


def _find_peaks(heights: np.ndarray) -> np.ndarray:
    """One voxel of every local maximum, the highest first; a plateau, such as where a network is certain, is one."""
    framed = np.pad(heights, 1)  # with zeros, so that a plateau as large as the volume is a maximum as well
    maxima = local_maxima(framed)[(slice(1, -1),) * heights.ndim]
    plateaus, _ = ndimage.label(maxima, np.ones((3,) * heights.ndim))
    _, first = np.unique(plateaus[maxima], return_index=True)
    peaks = np.argwhere(maxima)[first]
    return peaks[np.argsort(-heights[tuple(peaks.T)], kind="stable")]


def _far_apart(points: np.ndarray, min_distance: float) -> list[int]:
    """Indices of points, the first ones first, that leave no two nearer to each other than a distance."""
    if not len(points):
        return []
    tree, kept = cKDTree(points), []
    dropped: set[int] = set()
    for index in range(len(points)):
        if index not in dropped:
            kept.append(index)
            dropped.update(tree.query_ball_point(points[index], min_distance))
    return kept


class FindMarkersd(MapTransform):
    """Dictionary form of `find_markers`: probabilities (1, X, Y, Z) become markers, label images of that shape.

    What was found is added under ``<key>_detections``: (n, 4) as Z, Y, X in micrometres and score. The volume carries
    its spacing.
    """

    def __init__(
        self,
        keys: KeysCollection,
        threshold: float = 0.5,
        min_distance: float = 4.0,
        min_volume: float = 0.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.settings = {"threshold": threshold, "min_distance": min_distance, "min_volume": min_volume}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        for key in self.key_iterator(data):
            spacing = convert_to_numpy(data[key].pixdim)
            markers = find_markers(convert_to_numpy(data[key])[0], spacing, **self.settings)
            detections = np.column_stack([(markers.centres * spacing)[:, ::-1], markers.scores])
            data[key] = convert_to_dst_type(markers.labels[None], data[key], dtype=torch.int32)[0]
            data[f"{key}_detections"] = torch.as_tensor(detections, dtype=torch.float32)
        return data
