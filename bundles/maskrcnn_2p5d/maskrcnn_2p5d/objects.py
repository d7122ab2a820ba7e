"""Size, place and score of every object of a volume."""

from collections.abc import Sequence

import numpy as np

__all__ = ["COLUMNS", "measure_objects"]

COLUMNS = ("label", "volume_um3", "num_slices", "mean_score", "z_um", "y_um", "x_um", "z", "y", "x")


def measure_objects(labels: np.ndarray, spacing: Sequence[float], scores: np.ndarray) -> list[tuple[float, ...]]:
    """One row per object, in order of the labels.

    Parameters
    ----------
    labels : ndarray of int, shape (Z, Y, X)
        Instances; 0 is background, labels are small and may have gaps.
    spacing : sequence of float
        Size of a voxel in micrometres, (Z, Y, X).
    scores : ndarray of float, shape (n,)
        Score of label i at i - 1.

    Returns
    -------
    list of tuple
        As `COLUMNS` says: label; volume of the voxels in µm³; slices that hold some of it; score; centroid in µm from
        the middle of the first voxel; centroid in voxels.

    Raises
    ------
    ValueError
        If a label has no score.
    """
    highest = int(labels.max(initial=0))
    if highest > len(scores):
        raise ValueError(f"label {highest} but {len(scores)} scores; give one per label, in order")
    voxels, num_slices, sums = np.zeros(highest + 1), np.zeros(highest + 1, int), np.zeros((3, highest + 1))
    for z, plane in enumerate(labels):  # a slice at a time: positions take more memory than labels
        y, x = np.nonzero(plane)
        owners = plane[y, x]
        counts = np.bincount(owners, minlength=highest + 1)
        voxels += counts
        num_slices += counts > 0
        sums += [counts * z, *(np.bincount(owners, axis, highest + 1) for axis in (y, x))]
    steps = np.asarray(spacing, float)
    rows = []
    for label in np.flatnonzero(voxels):
        centre = sums[:, label] / voxels[label]
        volume, where = float(voxels[label] * steps.prod()), (*(centre * steps).tolist(), *centre.tolist())
        rows.append((int(label), volume, int(num_slices[label]), float(scores[label - 1]), *where))
    return rows
