"""Linked objects with the surface that the masks of several slices agree on.

Masks are drawn slice by slice, so the border of an object jumps from one slice to the next. The mean of neighbouring
slices' probabilities is a better estimate than any of them.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import find_objects, gaussian_filter

__all__ = ["smooth_objects"]

TRUNCATE = 3.0  # standard deviations that a Gaussian reaches
NEAR = 0.15  # smallest smoothed share of an object in a voxel that it may take
SLAB = 16  # slices that are in memory as floats


def smooth_objects(
    labels: np.ndarray, probability: np.ndarray, *, sigma: Sequence[float], threshold: float
) -> np.ndarray:
    """Objects drawn anew from smoothed probabilities; each voxel goes to the object that is most around it.

    Parameters
    ----------
    labels : ndarray of int32, shape (Z, Y, X)
        Objects 1..n; 0 is background.
    probability : ndarray of float, shape (Z, Y, X)
        That a voxel lies in any object.
    sigma : sequence of float
        Standard deviations of the Gaussian along Z, Y and X, in voxels.
    threshold : float
        Smoothed probability from which a voxel belongs to an object.

    Returns
    -------
    ndarray of int32, shape (Z, Y, X)
        The same numbers; small or thin objects may be gone.
    """
    reach = int(TRUNCATE * sigma[0] + 0.5)
    result = np.empty(labels.shape, np.int32)
    for start in range(0, len(labels), SLAB):
        first, stop = max(0, start - reach), min(start + SLAB, len(labels))
        outer, inner = slice(first, stop + reach), slice(start - first, stop - first)
        result[start:stop] = _smooth_slab(labels[outer], probability[outer], sigma, threshold)[inner]
    return result


def _smooth_slab(labels: np.ndarray, probability: np.ndarray, sigma: Sequence[float], threshold: float) -> np.ndarray:
    inside = _smooth(probability.astype(np.float32), sigma) >= threshold
    shares, result = np.full(labels.shape, NEAR, np.float32), np.zeros(labels.shape, np.int32)
    margins = [int(TRUNCATE * deviation + 0.5) for deviation in sigma]
    for label, extent in enumerate(find_objects(labels), start=1):
        if extent is None:
            continue
        window = tuple(
            slice(max(0, side.start - margin), side.stop + margin) for side, margin in zip(extent, margins, strict=True)
        )
        share = _smooth((labels[window] == label).astype(np.float32), sigma)
        larger = share > shares[window]
        shares[window][larger], result[window][larger] = share[larger], label
    return np.where(inside, result, 0)


def _smooth(values: np.ndarray, sigma: Sequence[float]) -> np.ndarray:
    return gaussian_filter(values, sigma, mode="nearest", truncate=TRUNCATE)
