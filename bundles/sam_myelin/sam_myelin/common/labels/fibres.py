"""Fibres from class masks: each axon with the sheath around it, split where two sheaths touch."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

__all__ = ["Fibres", "Region", "label_axons", "label_fibres", "sheath_depth"]

EIGHT_NEIGHBOURS = np.ones((3, 3), bool)
MIN_AXON_PX = 3  # of fewer pixels are stray values in the masks
MIN_THICKNESS_PX = 0.5
REACH = 3.0  # sheaths up to which an axon's own distance counts


@dataclass(frozen=True)
class Region:
    """A connected region.

    Attributes
    ----------
    box : tuple of int
        First column, first row, last column, last row, in pixels.
    area_px : int
        Its pixels.
    """

    box: tuple[int, int, int, int]
    area_px: int


@dataclass(frozen=True)
class Fibres:
    """Fibres of an image, and the parts of its masks that are no fibre.

    Attributes
    ----------
    labels : ndarray of int32, shape (Y, X)
        One number, 1 to n in reading order, for an axon and its sheath; 0 is background.
    axon, myelin : ndarray of bool, shape (Y, X)
        The two classes, without specks and without overlap; myelin also where no fibre is.
    bare_axons : tuple of int
        Labels of axons without myelin; they are fibres too.
    lone_myelin : tuple of Region
        Myelin that no axon is connected to; it has label 0.
    num_specks : int
        Axons that are too small to be one and were left out.
    """

    labels: np.ndarray
    axon: np.ndarray
    myelin: np.ndarray
    bare_axons: tuple[int, ...]
    lone_myelin: tuple[Region, ...]
    num_specks: int


def label_fibres(axon: np.ndarray, myelin: np.ndarray, *, min_axon_px: int = MIN_AXON_PX) -> Fibres:
    """Give each axon and the sheath around it one number.

    Whole axons are the markers of a watershed over axons and myelin. It floods, from each axon outwards, the distance
    to the axon in units of the thickness that its sheath has where it borders on background: two sheaths of any
    thickness reach 1 where they touch, and are separated there.

    Parameters
    ----------
    axon, myelin : ndarray of bool, shape (Y, X)
        The two classes; where both are set it is axon.
    min_axon_px : int
        Smaller axons are specks: left out, and myelin only where the myelin mask says so.

    Returns
    -------
    Fibres
        Labels, and what was left over.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if axon.shape != myelin.shape:
        raise ValueError(f"axon {axon.shape} and myelin {myelin.shape} differ in shape; give masks of one image")
    markers, num_specks = label_axons(axon, min_axon_px=min_axon_px)
    foreground = (markers > 0) | myelin
    labels = markers
    if markers.any() and (foreground & (markers == 0)).any():
        labels = watershed(sheath_depth(markers, foreground), markers, connectivity=2, mask=foreground).astype(np.int32)
    sheaths = np.bincount(labels[(markers == 0) & (labels > 0)], minlength=markers.max(initial=0) + 1)
    return Fibres(
        labels=labels,
        axon=markers > 0,
        myelin=foreground & (markers == 0),
        bare_axons=tuple(int(label) for label in np.flatnonzero(sheaths[1:] == 0) + 1),
        lone_myelin=_regions(foreground & (labels == 0)),
        num_specks=num_specks,
    )


def label_axons(axon: np.ndarray, *, min_axon_px: int = MIN_AXON_PX) -> tuple[np.ndarray, int]:
    """Connected components (8 neighbours) of an axon mask, in reading order, without specks.

    Parameters
    ----------
    axon : ndarray of bool, shape (Y, X)
        Axons.
    min_axon_px : int
        Smaller components are specks.

    Returns
    -------
    markers : ndarray of int32, shape (Y, X)
        1 to n without gaps, 0 elsewhere.
    num_specks : int
        Components left out.
    """
    components = np.empty(axon.shape, np.int32)
    num_found = ndimage.label(axon, EIGHT_NEIGHBOURS, output=components)
    kept = np.bincount(components.ravel(), minlength=num_found + 1) >= min_axon_px
    kept[0] = False
    return np.where(kept, np.cumsum(kept), 0).astype(np.int32)[components], num_found - int(kept.sum())


def sheath_depth(markers: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """Distance to an axon, in units of the thickness of that axon's sheath; of all axons the lowest counts.

    Parameters
    ----------
    markers : ndarray of int, shape (Y, X)
        Axons, 1 to n without gaps; at least one.
    foreground : ndarray of bool, shape (Y, X)
        Axons and myelin.

    Returns
    -------
    ndarray of float32, shape (Y, X)
        0 in axons, about 1 at the outer border of a sheath and where two sheaths touch.
    """
    distance, nearest = _nearest_axon(markers)
    thickness = _thicknesses(distance, nearest, foreground, int(markers.max()))
    depth = (REACH + distance / thickness[nearest]).astype(np.float32)
    for label, window in enumerate(ndimage.find_objects(markers), 1):
        margin = int(np.ceil(REACH * thickness[label])) + 1
        grown = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in window)
        own = ndimage.distance_transform_edt(markers[grown] != label) / thickness[label]
        np.minimum(depth[grown], own, out=depth[grown], where=own <= REACH)
    return depth


def _nearest_axon(markers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each pixel to the nearest axon, and that axon's label."""
    distance, (rows, columns) = ndimage.distance_transform_edt(markers == 0, return_indices=True)
    return distance, markers[rows, columns]


def _thicknesses(distance: np.ndarray, nearest: np.ndarray, foreground: np.ndarray, num_axons: int) -> np.ndarray:
    """Median distance to the axon along the border of its sheath with background; index 0 is not used.

    A fibre that borders on none, for its neighbours are all around, gets the median of the others.
    """
    border = foreground & ~ndimage.binary_erosion(foreground, border_value=1)
    order = np.argsort(nearest[border], kind="stable")
    owners, distances = nearest[border][order], distance[border][order]
    thickness = np.full(num_axons + 1, np.nan)
    parts = np.split(distances, np.flatnonzero(np.diff(owners)) + 1)
    for label, part in zip(np.unique(owners), parts, strict=False):
        thickness[label] = np.median(part)
    usual = np.nanmedian(thickness) if np.isfinite(thickness).any() else 1.0
    return np.where(np.isnan(thickness), usual, thickness).clip(MIN_THICKNESS_PX)


def _regions(mask: np.ndarray) -> tuple[Region, ...]:
    """Connected regions of a mask, in reading order."""
    components, _ = ndimage.label(mask, EIGHT_NEIGHBOURS)
    areas = np.bincount(components.ravel())[1:]
    boxes = [(c.start, r.start, c.stop - 1, r.stop - 1) for r, c in ndimage.find_objects(components)]
    return tuple(Region(box, int(area)) for box, area in zip(boxes, areas, strict=True))
