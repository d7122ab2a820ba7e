"""Nuclei without a network: two thresholds, then a watershed from the maxima of the distance transform."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_li
from skimage.measure import label as label_objects
from skimage.morphology import h_maxima, remove_small_objects
from skimage.segmentation import watershed

__all__ = ["classical_foreground", "classical_markers", "segment_classically"]


def segment_classically(
    image: np.ndarray,
    spacing: Sequence[float],
    *,
    smoothing_um: float = 0.8,
    li_factor: float = 1.0,
    window_um: float = 16.0,
    local_factor: float = 1.0,
    min_volume_um3: float = 100.0,
    distance_smoothing_um: float = 1.0,
    height_um: float = 0.5,
) -> np.ndarray:
    foreground = classical_foreground(
        image,
        spacing,
        smoothing_um=smoothing_um,
        li_factor=li_factor,
        window_um=window_um,
        local_factor=local_factor,
        min_volume_um3=min_volume_um3,
    )
    if not foreground.any():
        return np.zeros(image.shape, np.int32)
    distance = ndimage.distance_transform_edt(foreground, sampling=spacing)
    markers = classical_markers(distance, spacing, smoothing_um=distance_smoothing_um, height_um=height_um)
    return watershed(-distance, markers, mask=foreground).astype(np.int32)


def classical_foreground(image, spacing, *, smoothing_um, li_factor, window_um, local_factor, min_volume_um3):
    smooth = ndimage.gaussian_filter(image.astype(np.float32), np.divide(smoothing_um, spacing))
    low = smooth.min()
    if smooth.max() == low:
        return np.zeros(image.shape, bool)
    smooth = smooth - low
    li = threshold_li(smooth)
    local = ndimage.gaussian_filter(smooth, np.divide(window_um, spacing))
    fg = (smooth > li_factor * li) & (smooth > local_factor * local)
    fg = ndimage.binary_fill_holes(fg)
    return remove_small_objects(fg, max_size=int(min_volume_um3 / np.prod(spacing)))


def classical_markers(distance, spacing, *, smoothing_um, height_um):
    smooth = ndimage.gaussian_filter(distance, np.divide(smoothing_um, spacing)) * (distance > 0)
    return label_objects(h_maxima(smooth, height_um)).astype(np.int32, order="C")
