"""Boxes and points that tell the network which fibres are meant."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from .common.errors import InputError

__all__ = [
    "Prompts",
    "boxes_of",
    "check_inside",
    "inner_points",
    "jitter_boxes",
    "number_axons",
    "prompts_from_axons",
    "prompts_from_labels",
    "random_points",
]

MAX_DIRECT = 1 << 20  # labels up to this are looked up in a list as long as the highest of them
EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


class Prompts(NamedTuple):
    """Prompts of k fibres: ids (k,) from 1, points (k, 2) as (x, y), boxes (k, 4) as (x, y, x, y), NaN where unknown.

    Integers are centres of pixels; a box runs from the first to the last pixel inside.
    """

    ids: np.ndarray
    points: np.ndarray
    boxes: np.ndarray


def boxes_of(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounding boxes of all objects of a label map in one pass.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        0 is background.

    Returns
    -------
    ids : ndarray of int64, shape (k,)
        Labels that occur, in order.
    boxes : ndarray of int64, shape (k, 4)
        First and last pixel inside, (x, y, x, y).
    """
    names = None
    if labels.max(initial=0) > MAX_DIRECT:
        names, flat = np.unique(labels, return_inverse=True)
        labels = flat.reshape(labels.shape) + (0 if names[0] == 0 else 1)
        names = names if names[0] == 0 else np.insert(names, 0, 0)
    found = [(number, where) for number, where in enumerate(ndimage.find_objects(labels), start=1) if where]
    numbers = np.array([number for number, _ in found], np.int64)
    boxes = np.array([(x.start, y.start, x.stop - 1, y.stop - 1) for _, (y, x) in found], np.int64).reshape(-1, 4)
    return (numbers if names is None else names[numbers].astype(np.int64)), boxes


def jitter_boxes(boxes: np.ndarray, shape: Sequence[int], *, max_px: int = 20, rng: np.random.Generator) -> np.ndarray:
    """Boxes that are larger by up to some pixels on each side, as of a hasty user, but inside the image.

    Parameters
    ----------
    boxes : ndarray of number, shape (k, 4)
        (x, y, x, y), inside the image.
    shape : tuple of int
        (Y, X) of the image.
    max_px : int
        Each side moves outwards by 0 to this, independently.
    rng : Generator

    Returns
    -------
    ndarray of the boxes' type, shape (k, 4)
    """
    moved = boxes + rng.integers(0, max_px + 1, boxes.shape) * np.array([-1, -1, 1, 1])
    height, width = shape
    return np.clip(moved, 0, np.array([width - 1, height - 1] * 2)).astype(boxes.dtype)


def random_points(
    axons: np.ndarray, ids: np.ndarray, *, num_points: int = 1, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Points on random pixels of each fibre's axon: never beside a curved one.

    Parameters
    ----------
    axons : ndarray of int, shape (Y, X)
        Label map of the fibres, 0 outside their axons.
    ids : ndarray of int, shape (k,)
        Fibres that want points.
    num_points : int
        For each; drawn with replacement.
    rng : Generator

    Returns
    -------
    points : ndarray of float32, shape (k, num_points, 2)
        (x, y); 0 where the fibre has no axon.
    point_labels : ndarray of int64, shape (k, num_points)
        1, or -1 where the fibre has no axon.
    """
    y, x = np.nonzero(axons)
    owners = axons[y, x]
    order = np.argsort(owners, kind="stable")
    first, last = (np.searchsorted(owners[order], ids, side)[:, None] for side in ("left", "right"))
    drawn = first + np.floor(rng.random((len(ids), num_points)) * (last - first)).astype(np.int64)
    known = np.broadcast_to(last > first, drawn.shape)
    chosen = order[drawn[known]]
    points = np.zeros((*drawn.shape, 2), np.float32)
    points[known] = np.stack([x[chosen], y[chosen]], axis=-1)
    return points, np.where(known, 1, -1).astype(np.int64)


def inner_points(axons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One pixel inside each axon: that of its centroid, or where that is outside, the one deepest inside.

    Parameters
    ----------
    axons : ndarray of int, shape (Y, X)
        Label map.

    Returns
    -------
    ids : ndarray of int64, shape (k,)
    points : ndarray of float32, shape (k, 2)
        (x, y).
    """
    ids, boxes = boxes_of(axons)
    points = np.zeros((len(ids), 2), np.float32)
    for number, (label, (left, top, right, bottom)) in enumerate(zip(ids, boxes, strict=True)):
        axon = axons[top : bottom + 1, left : right + 1] == label
        y, x = (int(where.mean() + 0.5) for where in np.nonzero(axon))
        if not axon[y, x]:
            depth = ndimage.distance_transform_edt(np.pad(axon, 1))[1:-1, 1:-1]
            y, x = (int(index) for index in np.unravel_index(depth.argmax(), depth.shape))
        points[number] = left + x, top + y
    return ids, points


def prompts_from_labels(labels: np.ndarray, axon: np.ndarray) -> Prompts:
    """Point and box of every fibre of a label map.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        Fibres, axon and sheath under one label.
    axon : ndarray of bool, shape (Y, X)

    Returns
    -------
    Prompts
        The box is that of the fibre; the point is NaN where a fibre has no axon.
    """
    ids, boxes = boxes_of(labels)
    found, inside = inner_points(np.where(axon, labels, 0))
    points = np.full((len(ids), 2), np.nan, np.float32)
    points[np.searchsorted(ids, found)] = inside
    return Prompts(ids, points, boxes.astype(np.float32))


def number_axons(axon: np.ndarray) -> np.ndarray:
    """Label map of axons: a mask's components from 1, touching corners included; what is a label map stays as it is."""
    is_mask = axon.dtype == bool or len(np.unique(axon[axon > 0])) < 2
    return ndimage.label(axon, EIGHT_NEIGHBOURS)[0] if is_mask else axon


def prompts_from_axons(axon: np.ndarray, *, g_ratio: float | None = 0.7, min_area_px: int = 1) -> Prompts:
    """Point and estimated box of the fibre around every axon of a mask.

    Parameters
    ----------
    axon : ndarray of bool or int, shape (Y, X)
        A mask, or a label map; see `number_axons`.
    g_ratio : float, optional
        Diameter of an axon over that of its fibre, by whose inverse its box is enlarged, inside the image; None gives
        no boxes.
    min_area_px : int
        Smaller axons are left out.

    Raises
    ------
    InputError
        If ``g_ratio`` is not in (0, 1].
    """
    if g_ratio is not None and not 0 < g_ratio <= 1:
        raise InputError(f"--g_ratio {g_ratio}: an axon is not wider than its fibre; give a number above 0, at most 1")
    labels = number_axons(axon)
    ids, points = inner_points(labels)
    boxes = boxes_of(labels)[1].astype(np.float32)
    boxes = np.full_like(boxes, np.nan) if g_ratio is None else _enlarge(boxes, 1 / g_ratio, labels.shape)
    names, areas = np.unique(labels[labels > 0], return_counts=True)
    kept = areas[np.searchsorted(names, ids)] >= min_area_px
    return Prompts(ids[kept], points[kept], boxes[kept])


def check_inside(prompts: Prompts, shape: Sequence[int], source: str) -> None:
    """Raise `InputError`, which names ``source``, unless all points and boxes lie in an image (Y, X)."""
    height, width = shape
    places = np.concatenate([prompts.points, prompts.boxes], axis=1)
    limits = np.array([width - 1, height - 1] * 3)
    outside = np.any((places < -0.5) | (places > limits + 0.5), axis=1)  # NaN is not outside
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        where = ", ".join(f"{value:g}" for value in places[first])
        raise InputError(
            f"{source}: {outside.sum()} of {len(outside)} prompts outside the image, the first has id "
            f"{prompts.ids[first]} with x, y, box {where}; expected 0 to {width - 1} in x and 0 to {height - 1} in y; "
            "give pixels of this image, not µm and not those of a resized one"
        )


def _enlarge(boxes: np.ndarray, factor: float, shape: tuple[int, int]) -> np.ndarray:
    """Boxes (k, 4) about their centres, cut at the image's border."""
    centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2] + 1
    half = (sizes * factor - 1) / 2
    height, width = shape
    return np.clip(np.hstack([centres - half, centres + half]), 0, [width - 1, height - 1] * 2).astype(np.float32)
