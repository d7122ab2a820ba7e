"""Polygons of GeoJSON, as QuPath exports annotations, to masks."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import one_line
from tools.convert.outline import Outline, Polygon, draw

__all__ = ["choose_features", "features_of", "find_polygons", "rasterise", "read_geojson"]

SURROUNDINGS = ("tissue", "region", "roi", "background", "other", "slide")  # classes of what objects lie in
DENIALS = {"no", "non", "not", "without"}
MAX_DEPTH = 20  # of collections in one another


def read_geojson(path: Path) -> object:
    """Content of a file; ValueError if it is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"not a readable GeoJSON ({one_line(error)}); export it again") from error


def choose_features(document: object, meant: str, *, unnamed: bool = False) -> tuple[list, Counter[str]]:
    """Features of a GeoJSON document (see `find_polygons`) of the class that is meant; number of others by their class.

    ``meant`` is what a word of the class's name begins with, in small letters, and no other word denies: not
    "Non-crypt". Where no class is so called, the only one that is neither ignored (QuPath ends such names with ``*``)
    nor known to surround objects is taken, or all that have no class. With ``unnamed``, those without a class are taken
    beside others in any case: somebody drew them into a set of objects. ValueError if there are annotations, but it is
    not clear which are meant.
    """
    features = features_of(document)
    classes = [_class_of(feature) for feature in features]
    by_class = Counter(classes)
    kept = [name for name in by_class if not name.endswith("*")]
    named = [name for name in kept if _is_called(name, meant)]
    others = [name for name in kept if meant not in name.lower() and name.lower() not in SURROUNDINGS]
    if unnamed and len(others) > 1:
        others = [name for name in others if name]
    chosen = named or others
    if by_class and (not chosen or (len(chosen) > 1 and not named)):
        found = ", ".join(name or "none" for name in by_class)
        raise ValueError(f"annotations of the classes {found}; expected one named {meant}; name it so in QuPath")
    if unnamed and chosen:
        chosen = [*chosen, ""]
    left_out = Counter({name or "none": number for name, number in by_class.items() if name not in chosen})
    return [feature for feature, name in zip(features, classes, strict=True) if name in chosen], left_out


def find_polygons(document: object) -> list[list[np.ndarray]]:
    """All polygons of a GeoJSON document.

    Parameters
    ----------
    document : object
        Parsed JSON: FeatureCollection, list of features, a feature, or a geometry.

    Returns
    -------
    list of list of ndarray of float, shape (n, 2)
        Of every polygon its rings, the outer one first, then holes; points are (x, y) in pixels, and (0, 0) is the
        image's upper left corner.

    Raises
    ------
    ValueError
        If there is a geometry that is no Polygon or MultiPolygon, or a ring without three points of two numbers.
    """
    return [
        [_ring(ring, f"feature {number}") for ring in rings]
        for number, feature in enumerate(features_of(document), start=1)
        for rings in _polygons(feature, f"feature {number}")
    ]


def rasterise(polygons: list[list[np.ndarray]], shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centres lie inside a polygon and not in its holes.

    Parameters
    ----------
    polygons : list of list of ndarray of float, shape (n, 2)
        As `find_polygons` returns them.
    shape : tuple of int
        Shape (Y, X) of the image.

    Returns
    -------
    ndarray of bool, shape (Y, X)
        Union of all polygons.

    Raises
    ------
    ValueError
        If a point lies more than a pixel outside the image, or all polygons together hold no pixel.
    """
    mask = np.zeros(shape, bool)
    for number, rings in enumerate(polygons, start=1):
        draw(mask, Outline(f"polygon {number}", [Polygon(rings[:1], rings[1:])]), True)
    if polygons and not mask.any():
        raise ValueError(
            f"its {len(polygons)} polygons hold no pixel; export them in pixels at full resolution, not in other units"
        )
    return mask


def features_of(document: object) -> list:
    """Features of a GeoJSON document, whatever form it has."""
    if isinstance(document, list):
        return document
    if isinstance(document, dict) and document.get("type") == "FeatureCollection":
        features = document.get("features") or []
        if not isinstance(features, list):
            raise ValueError(f"features are {type(features).__name__}, expected a list; export the annotations again")
        return features
    return [document]


def _is_called(name: str, meant: str) -> bool:
    words = re.findall(r"[^\W_]+", name.lower())
    return any(word.startswith(meant) for word in words) and not DENIALS & {*words}


def _class_of(feature: object) -> str:
    """Name of the class that QuPath gives a feature, behind those that it is part of; empty where it has none."""
    properties = feature.get("properties") if isinstance(feature, dict) else None
    found = properties.get("classification") if isinstance(properties, dict) else None
    if isinstance(found, dict):
        parent = found.get("parentClass")  # of QuPath before 0.4, since when there is a list of names
        names = [parent.get("name") if isinstance(parent, dict) else None, found.get("name")]
        found = found["names"] if isinstance(found.get("names"), list) else names
    names = found if isinstance(found, list) else [found]
    return ": ".join(name.strip() for name in names if isinstance(name, str))


def _polygons(feature: Any, where: str, depth: int = 0) -> Iterator[list]:
    """Lists of rings of one feature or geometry, which may be a collection of others."""
    is_feature = isinstance(feature, dict) and feature.get("type") == "Feature"
    geometry: Any = feature.get("geometry") if is_feature else feature
    kind = geometry.get("type") if isinstance(geometry, dict) else type(geometry).__name__
    if kind == "Polygon":
        polygons = [geometry.get("coordinates")]
    elif kind == "MultiPolygon":
        polygons = geometry.get("coordinates")
    elif kind == "GeometryCollection":
        members = geometry.get("geometries") or []
        if not isinstance(members, list) or depth == MAX_DEPTH:
            raise ValueError(f"{where}: a collection without a list of geometries, or one in another too often")
        for member in members:
            yield from _polygons(member, where, depth + 1)
        return
    else:
        raise ValueError(f"{where}: {kind}, expected Polygon or MultiPolygon; export areas, not lines or points")
    for rings in polygons if isinstance(polygons, list) else [None]:
        if not isinstance(rings, list) or not rings:
            raise ValueError(f"{where}: a polygon without rings; export the annotations again")
        yield rings


def _ring(points: Any, where: str) -> np.ndarray:
    """Points of a ring; a third coordinate is left out."""
    try:
        ring = np.array([point[:2] for point in points], float)
    except (TypeError, ValueError, LookupError, OverflowError):
        ring = np.zeros(0)
    if ring.ndim != 2 or ring.shape[1] != 2 or len(np.unique(ring, axis=0)) < 3 or not np.isfinite(ring).all():
        raise ValueError(f"{where}: a ring without three points of two numbers; export the annotations again")
    return ring
