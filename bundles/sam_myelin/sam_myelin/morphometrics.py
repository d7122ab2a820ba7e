"""Size of every fibre, its axon and its sheath."""

import math
from collections.abc import Sequence

import numpy as np

from .common.errors import InputError

__all__ = ["COLUMNS", "measure_fibres"]

# {} is the unit: um, or px where the size of pixels is unknown
COLUMNS = (
    "id",
    "y_px",
    "x_px",
    "axon_diameter_{}",
    "fibre_diameter_{}",
    "myelin_thickness_{}",
    "g_ratio",
    "axon_area_{}2",
    "myelin_area_{}2",
    "fibre_area_{}2",
    "touches_border",
)


def measure_fibres(
    labels: np.ndarray, axon: np.ndarray, *, pixel_size_um: float | Sequence[float] | None = None
) -> tuple[tuple[str, ...], list[tuple[float, ...]]]:
    """One row per fibre, in order of the labels.

    Diameters are those of circles with the same area, the sheath's thickness is half the difference of fibre and axon,
    the g-ratio is axon over fibre.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        Fibres, axon and sheath under one label; 0 is background.
    axon : ndarray of bool, shape (Y, X)
    pixel_size_um : float or (float, float), optional
        Side of a pixel in µm, or (y, x); without it all lengths are in pixels.

    Returns
    -------
    columns : tuple of str
        `COLUMNS` with their unit, um or px.
    rows : list of tuple
        Centroid of the fibre in pixels, centres of pixels being integers. Without an axon, its diameter, the thickness
        and the g-ratio are NaN; without myelin the thickness is 0. ``touches_border`` is 1 where the image cuts the
        fibre, so that it is larger than measured.

    Raises
    ------
    InputError
        If the size of pixels is not positive.
    """
    unit, pixel_area = ("px", 1.0) if pixel_size_um is None else ("um", _area_of_pixel(pixel_size_um))
    columns = tuple(column.format(unit) for column in COLUMNS)
    y, x = np.nonzero(labels)
    ids, owners = np.unique(labels[y, x], return_inverse=True)
    count = np.bincount(owners, minlength=len(ids))
    axon_count = np.bincount(owners, axon[y, x].astype(bool), minlength=len(ids))
    centres = [np.bincount(owners, places, minlength=len(ids)) / np.maximum(count, 1) for places in (y, x)]
    on_border = np.isin(ids, np.concatenate([labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()]))
    return columns, [
        (int(label), float(y), float(x), *_measure(inside * pixel_area, whole * pixel_area), int(cut))
        for label, y, x, inside, whole, cut in zip(ids, *centres, axon_count, count, on_border, strict=True)
    ]


def _measure(axon_area: float, fibre_area: float) -> tuple[float, ...]:
    """Diameters of axon and fibre, thickness, g-ratio, areas of axon, myelin and fibre."""
    inner, outer = (2 * math.sqrt(area / math.pi) if area > 0 else math.nan for area in (axon_area, fibre_area))
    thickness, g_ratio = (outer - inner) / 2, inner / outer
    return inner, outer, thickness, g_ratio, float(axon_area), float(fibre_area - axon_area), float(fibre_area)


def _area_of_pixel(size: float | Sequence[float]) -> float:
    sides = np.broadcast_to(np.asarray(size, float), 2) if np.size(size) in (1, 2) else np.zeros(2)
    if not (np.isfinite(sides) & (sides > 0)).all():
        raise InputError(f"a pixel size of {size} µm: expected one or two positive numbers; correct or omit it")
    return float(sides.prod())
