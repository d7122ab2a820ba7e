"""Outlines of objects along the sides of their pixels, so that what they enclose is exactly the object."""

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

__all__ = ["Part", "find_parts", "rings_of"]

Part = list[np.ndarray]  # rings of x and y: the outer one, then holes


def find_parts(labels: np.ndarray) -> Iterator[tuple[int, list[Part]]]:
    """Outlines of every object.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        0 is background.

    Yields
    ------
    label : int
    parts : list of list of ndarray, shape (n, 2)
        For each connected part (4 neighbours) its rings: the outer one, then its holes. Points are (x, y) of corners of
        pixels, the image's being (0, 0); the last point of a ring is its first. Rings are simple, and may touch in
        single points.
    """
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        regions, num_regions = ndimage.label(labels[box] == label)
        top, left = box[0].start, box[1].start
        yield (
            label,
            [[ring + (left, top) for ring in rings_of(regions == region)] for region in range(1, num_regions + 1)],
        )


def rings_of(mask: np.ndarray) -> Part:
    """Rings around one connected region (4 neighbours): the outer one first, then its holes.

    Parameters
    ----------
    mask : ndarray of bool, shape (Y, X)

    Returns
    -------
    list of ndarray of int, shape (n, 2)
        Only points where a ring turns.
    """
    following = _sides(mask)
    rings: list[np.ndarray] = []
    while following:
        start = next(iter(following))
        point, step, walked = start, (0, 0), []
        while point in following:
            walked.append(point)
            steps = following[point]
            right = (-step[1], step[0])  # where two corners of pixels meet, the ring stays with its own
            step = right if right in steps else steps[0]
            steps.remove(step)
            if not steps:
                del following[point]
            point = (point[0] + step[0], point[1] + step[1])
        rings += _simple(walked)
    rings = [_corners(ring) for ring in rings]
    return sorted(rings, key=lambda ring: -abs(_area(ring)))


def _sides(mask: np.ndarray) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """From corner to corner along the border of a region, which lies on the right."""
    padded = np.pad(mask, 1)
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    inside = padded[1:-1, 1:-1]
    # neighbour outside, first corner of that side, and the step to the next one
    sides = (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (0, 1)),
        (padded[2:, 1:-1], (1, 1), (-1, 0)),
        (padded[1:-1, :-2], (0, 1), (0, -1)),
    )
    for neighbour, (x, y), step in sides:
        for row, column in np.argwhere(inside & ~neighbour).tolist():
            following.setdefault((column + x, row + y), []).append(step)
    return following


def _simple(walked: list[tuple[int, int]]) -> list[np.ndarray]:
    """A closed walk, cut where it comes back to a point."""
    rings: list[np.ndarray] = []
    open_walk: list[tuple[int, int]] = []
    places: dict[tuple[int, int], int] = {}
    for point in [*walked, walked[0]]:
        if point in places:
            first = places[point]
            ring = open_walk[first:]
            for one in ring:
                del places[one]
            del open_walk[first:]
            rings.append(np.array([*ring, point]))
        places[point] = len(open_walk)
        open_walk.append(point)
    return rings


def _corners(ring: np.ndarray) -> np.ndarray:
    """A closed ring without the points at which it goes straight on."""
    points = ring[:-1]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turns = (before != after).any(axis=1)
    kept = points[turns]
    return np.concatenate([kept, kept[:1]])


def _area(ring: np.ndarray) -> float:
    (x, y), (next_x, next_y) = ring[:-1].T, ring[1:].T
    return float((x * next_y - next_x * y).sum() / 2)
