"""The shape of an object in a slice between two others."""

import numpy as np
from scipy.ndimage import distance_transform_edt

__all__ = ["interpolate_shape"]


def interpolate_shape(first: np.ndarray, second: np.ndarray, fraction: float) -> np.ndarray:
    """Mask between two masks (Y, X), from the weighted mean of their signed distances to the border [1]_.

    The masks are of one object in two slices, neither empty; what lies beyond them counts as background. ``fraction``
    is the place between them, from 0 (the first) to 1 (the second). The result holds all that the two have in common.

    References
    ----------
    .. [1] Raya & Udupa (1990), doi:10.1109/42.52980
    """
    return (1 - fraction) * _signed_distance(first) + fraction * _signed_distance(second) > 0


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """Distance of each pixel to the nearest one on the other side of the border, negative outside the mask."""
    padded = np.pad(mask, 1)
    return (distance_transform_edt(padded) - distance_transform_edt(~padded))[1:-1, 1:-1]
