"""Outlines in an image, and the pixels that they enclose."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Outline", "Polygon", "draw", "fill"]

OUTSIDE_PX = 1.0  # an outline along the border of the image may lie this far outside
Rings = Sequence[np.ndarray]


@dataclass(frozen=True)
class Polygon:
    """What is inside an odd number of rings, but not in a hole; points are (x, y), the image's corner being (0, 0)."""

    rings: Rings
    holes: Rings = ()


@dataclass(frozen=True)
class Outline:
    """An object, or a slice of one, as it was drawn: the union of polygons.

    Attributes
    ----------
    name : str
        To call it in messages.
    polygons : sequence of Polygon
    place : tuple of int
        Slice and frame that the file gives, in the way that it counts them; zeros where it gives none.
    """

    name: str
    polygons: Sequence[Polygon]
    place: tuple[int, ...] = ()


def fill(rings: Rings, shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centres lie inside an odd number of rings.

    Of centres on an edge, those on right and upper edges are inside, as in ImageJ: so shapes that share an edge share
    no pixel.

    Parameters
    ----------
    rings : sequence of ndarray of float, shape (n, 2)
        Points (x, y); the last one is joined to the first one. The corner of the first pixel is (0, 0).
    shape : tuple of int
        (Y, X).

    Returns
    -------
    ndarray of bool, shape (Y, X)
    """
    height, width = shape
    crossed = np.zeros((height, width + 1), bool)
    starts = np.concatenate(rings).astype(float)
    stops = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings]).astype(float)
    downwards = (starts[:, 1] <= stops[:, 1])[:, None]
    upper, lower = np.where(downwards, starts, stops), np.where(downwards, stops, starts)
    first, last = (np.clip(np.ceil(ends[:, 1] - 0.5), 0, height).astype(int) for ends in (upper, lower))
    counts = last - first  # rows whose centres an edge crosses
    edge = np.repeat(np.arange(len(counts)), counts)
    rows = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - last, counts)
    (x, y), (dx, dy) = upper[edge].T, (lower - upper)[edge].T
    columns = np.floor(x + (rows + 0.5 - y) * dx / dy + 0.5 + 1e-8)  # the first centre to the right of it
    np.logical_xor.at(crossed, (rows, np.clip(columns, 0, width).astype(int)), True)
    return np.logical_xor.accumulate(crossed[:, :-1], axis=1)


def draw(plane: np.ndarray, outline: Outline, number: int) -> None:
    """Give the pixels of an outline a number; ValueError if it lies outside the image, an array of shape (Y, X)."""
    for polygon in outline.polygons:
        (left, top), (right, bottom) = _corners_of(outline.name, polygon, plane.shape)
        part = plane[top:bottom, left:right]
        inside = fill([ring - (left, top) for ring in polygon.rings], part.shape)
        for hole in polygon.holes:
            low = np.maximum(np.floor(hole.min(axis=0)).astype(int) - (left, top), 0)
            high = np.maximum(np.ceil(hole.max(axis=0)).astype(int) + 1 - (left, top), low)
            cut = inside[low[1] : high[1], low[0] : high[0]]
            cut &= ~fill([hole - low - (left, top)], cut.shape)
        part[inside] = number


def _corners_of(name: str, polygon: Polygon, shape: tuple[int, int]) -> np.ndarray:
    """First and last corner of the pixels that a polygon may hold; ValueError if it lies outside the image."""
    points, (height, width) = np.concatenate(polygon.rings), shape
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    if min(left, top) < -OUTSIDE_PX or right > width + OUTSIDE_PX or bottom > height + OUTSIDE_PX:
        raise ValueError(
            f"{name}: x from {left:g} to {right:g} and y from {top:g} to {bottom:g}, the image has {width} x {height} "
            "pixels; give the outlines of this image, in pixels at full resolution"
        )
    return np.array([[max(int(left), 0), max(int(top), 0)], [int(np.ceil(right)) + 1, int(np.ceil(bottom)) + 1]])
