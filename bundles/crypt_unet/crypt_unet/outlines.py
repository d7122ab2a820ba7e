"""Outlines of crypts, as GeoJSON that QuPath opens as annotations."""

import uuid
from collections.abc import Sequence

import numpy as np
from skimage.measure import approximate_polygon, find_contours, points_in_poly

from .crypts import Crypt

__all__ = ["feature_collection", "outline"]

COLOUR = (0, 160, 0)
CHUNK = 1 << 20  # pairs of segments that are compared at once


def outline(crypt: Crypt, tolerance: float = 0.5) -> list[np.ndarray]:
    """Outline of one crypt.

    The line runs through the middle between the centres of a pixel inside and one outside, so that exactly the crypt's
    pixels have their centres in it. If thinning it out would let rings cross or touch, every point is kept.

    Parameters
    ----------
    crypt : Crypt
    tolerance : float
        How far the line may move when points are left out, in pixels; 0 keeps them all.

    Returns
    -------
    list of ndarray of float, shape (n, 2)
        The outer ring, counter-clockwise, then those of holes, clockwise (by the sign of the area that x and y have as
        plain numbers, as RFC 7946 counts). Points are (x, y) in slide pixels, (0, 0) is the image's upper left corner
        and centres of pixels lie at .5; the last point is the first.

    Raises
    ------
    ValueError
        If the crypt is empty or in pieces.
    """
    contours = find_contours(np.pad(crypt.mask, 1).astype(np.uint8), 0.5, fully_connected="high")
    rings = [contour[:, ::-1] for contour in contours]  # numbers of padded pixels: multiples of a half, so exact
    rings.sort(key=lambda ring: -abs(_signed_area(ring)))
    is_outer = [_signed_area(ring) * _signed_area(rings[0]) > 0 for ring in rings]  # holes turn the other way round
    if sum(is_outer) != 1:
        raise ValueError(f"a crypt at ({crypt.top}, {crypt.left}) of {sum(is_outer)} pieces, expected 1; split it")
    if _signed_area(rings[0]) < 0:
        rings = [ring[::-1] for ring in rings]
    thinned = [approximate_polygon(ring, tolerance) for ring in rings]
    if not _is_simple(thinned):
        thinned = rings
    return [ring + (crypt.left - 0.5, crypt.top - 0.5) for ring in thinned]


def feature_collection(crypts: Sequence[Crypt], slide: str, *, tolerance: float = 0.5) -> dict[str, object]:
    """GeoJSON document of the crypts of a slide, an annotation of class Crypt each.

    Parameters
    ----------
    crypts : sequence of Crypt
        As `find_crypts` returns them.
    slide : str
        Name of the slide; with it, the same crypts get the same ids again.
    tolerance : float
        As for `outline`.

    Returns
    -------
    dict
        FeatureCollection of polygons in slide pixels, named Crypt 1 to n in order.
    """
    features = [_feature(crypt, number, slide, tolerance) for number, crypt in enumerate(crypts, start=1)]
    return {"type": "FeatureCollection", "features": features}


def _feature(crypt: Crypt, number: int, slide: str, tolerance: float) -> dict[str, object]:
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{slide}/{number}/{crypt.top}/{crypt.left}")),
        "geometry": {"type": "Polygon", "coordinates": [ring.tolist() for ring in outline(crypt, tolerance)]},
        "properties": {
            "objectType": "annotation",
            "name": f"Crypt {number}",
            "classification": {"name": "Crypt", "color": list(COLOUR)},
        },
    }


def _signed_area(ring: np.ndarray) -> float:
    """Area of a closed ring; positive if it goes counter-clockwise."""
    (x, y), (next_x, next_y) = ring[:-1].T, ring[1:].T
    return float((x * next_y - next_x * y).sum() / 2)


def _is_simple(rings: list[np.ndarray]) -> bool:
    """Whether closed rings, the outer one first, neither cross nor touch, and the others lie in it side by side."""
    if any(len(ring) < 4 for ring in rings):
        return False
    if not _are_apart(rings):
        return False
    for number, ring in enumerate(rings[1:], start=1):
        inside = [bool(points_in_poly(ring[:1], other)[0]) for other in rings[:number] + rings[number + 1 :]]
        if not inside[0] or any(inside[1:]):
            return False
    return True


def _are_apart(rings: list[np.ndarray]) -> bool:
    """Whether segments have no point in common, except for the end of one and the start of the next.

    Coordinates are multiples of a half and small, so that all products are exact.
    """
    starts, ends = (np.concatenate([ring[part] for ring in rings]) for part in (slice(-1), slice(1, None)))
    lengths = [len(ring) - 1 for ring in rings]
    firsts = np.repeat(np.cumsum([0, *lengths[:-1]]), lengths)
    following = firsts + (np.arange(len(starts)) - firsts + 1) % np.repeat(lengths, lengths)
    step, next_step = ends - starts, (ends - starts)[following]
    if ((_cross(step, next_step) == 0) & ((step * next_step).sum(axis=1) <= 0)).any():
        return False  # it turns back on itself
    low, high = np.minimum(starts, ends).T, np.maximum(starts, ends).T
    num_rows = max(CHUNK // len(starts), 1)
    for top in range(0, len(starts), num_rows):
        rows = slice(top, top + num_rows)
        near = [(low[k, rows, None] <= high[k]) & (high[k, rows, None] >= low[k]) for k in (0, 1)]
        first, second = np.nonzero(near[0] & near[1])
        first += top
        others = (first < second) & (following[first] != second) & (following[second] != first)
        first, second = first[others], second[others]
        if _meet(starts[first], ends[first], starts[second], ends[second]).any():
            return False
    return True


def _meet(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Whether segments ab and cd, whose bounding boxes overlap, have a point in common; shapes (n, 2)."""
    is_parted_by_ab = _cross(b - a, c - a) * _cross(b - a, d - a) <= 0
    is_parted_by_cd = _cross(d - c, a - c) * _cross(d - c, b - c) <= 0
    return is_parted_by_ab & is_parted_by_cd


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
