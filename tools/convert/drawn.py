"""Objects that were drawn as outlines, in ImageJ or in QuPath, as a label image."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from skimage.measure import points_in_poly

from tools.convert.geojson import choose_features, features_of, find_polygons, read_geojson
from tools.convert.imagej_rois import read_rois
from tools.convert.naming import naming
from tools.convert.outline import Outline, Polygon, draw

__all__ = ["OUTLINES", "read_outlines"]

logger = logging.getLogger(__name__)

GEOJSON = (".geojson", ".json")
OUTLINES = (".roi", ".zip", *GEOJSON)
FOUND = ("cell", "detection")  # what QuPath calls objects that it found; they lie in annotations
IN_SLICE = re.compile(r"(.+)-z(\d+)", re.ASCII)  # names of ROIs of a volume, as `segment --save imagej-roi` writes them


def read_outlines(path: Path, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Draw the objects of a file of outlines; where they overlap, the later one is on top.

    Parameters
    ----------
    path : Path
        One of ImageJ's ROIs (.roi), a set of them (.zip), or GeoJSON as QuPath exports annotations and detections.
    shape : tuple of int
        Of the image, (Y, X) or (Z, Y, X). In a volume, the ROIs of an object are called ``<object>-z<slice>``, slices
        counted from 1, as `segment --save imagej-roi` names them.
    kind : str
        What an object is, such as cell: of annotations of several classes the one that is called so is taken. Where
        QuPath has detected cells, those are taken, whatever their class.

    Returns
    -------
    ndarray of int32
        The pixels whose centres lie inside the outline of object i have the value i, in the order of the file.

    Raises
    ------
    InputError
        If the file is damaged, an outline encloses no area or lies outside the image, none holds a pixel, or they are
        of several slices or frames although the image has one.
    """
    labels = np.zeros(shape, np.int32)
    with naming(path):
        outlines = _of_geojson(path, kind) if path.suffix.lower() in GEOJSON else read_rois(path)
        num_objects = _draw_in_slices(labels, outlines) if labels.ndim == 3 else _draw_in_plane(labels, outlines)
        num_drawn = np.count_nonzero(np.unique(labels))
        if num_drawn < num_objects:
            lost = num_objects - num_drawn
            logger.warning("%s: %d of %d objects hold no pixel, or lie under later ones", path, lost, num_objects)
        if num_objects and not num_drawn:
            raise ValueError("no outline holds a pixel; give those of this image, in pixels at full resolution")
    return labels


def _draw_in_plane(labels: np.ndarray, outlines: Sequence[Outline]) -> int:
    places = {outline.place for outline in outlines if any(outline.place)}
    if len(places) > 1:
        raise ValueError(
            f"outlines of {len(places)} slices or frames, and the image is one of them; save the outlines of this one"
        )
    for number, outline in enumerate(outlines, start=1):
        draw(labels, outline, number)
    return len(outlines)


def _draw_in_slices(labels: np.ndarray, outlines: Sequence[Outline]) -> int:
    """Draw outlines into the slices that their names say; number of objects."""
    numbers: dict[str, int] = {}
    for outline in outlines:
        placed = IN_SLICE.fullmatch(outline.name)
        if placed is None:
            raise ValueError(
                f"{outline.name}: an outline without its slice; name the ROIs of an object <object>-z1, <object>-z2 "
                "and so on, as `segment --save imagej-roi` does"
            )
        number, z = numbers.setdefault(placed[1], len(numbers) + 1), int(placed[2])
        if not 1 <= z <= len(labels):
            raise ValueError(f"{outline.name}: in slice {z}, the image has {len(labels)}; give those of this image")
        draw(labels[z - 1], outline, number)
    return len(numbers)


def _of_geojson(path: Path, kind: str) -> list[Outline]:
    features = features_of(read_geojson(path))
    chosen = _without_surroundings(features)
    if len(chosen) < len(features):
        num_left_out = len(features) - len(chosen)
        logger.warning("%s: %d annotations left out: what QuPath has detected lies in them", path, num_left_out)
    if not any(_type_of(feature) == "cell" for feature in chosen):
        chosen, others = choose_features(chosen, kind.lower(), unnamed=True)
        for name, number in others.items():
            logger.warning("%s: %d objects of the class %s left out, which is not %s", path, number, name, kind)
    if not chosen:
        logger.warning("%s: no object in it", path)
    outlines = []
    for number, feature in enumerate(chosen, start=1):
        polygons = [Polygon(rings[:1], rings[1:]) for rings in find_polygons(feature)]
        outlines.append(Outline(f"object {number}", polygons, _plane(feature)))
    return outlines


def _without_surroundings(features: list) -> list:
    """Without annotations in which something was detected: they say where to look, and are no objects."""
    detected = [feature for feature in features if _type_of(feature) in FOUND]
    if not detected:
        return features
    middles = np.array([rings[0].mean(axis=0) for feature in detected for rings in find_polygons(feature)[:1]])

    def surrounds(feature: Any) -> bool:
        return _type_of(feature) not in FOUND and any(
            points_in_poly(middles, rings[0]).any() for rings in find_polygons(feature)
        )

    return [feature for feature in features if not surrounds(feature)]


def _type_of(feature: Any) -> object:
    """What QuPath calls this kind of object: annotation, detection, cell; None for what it has not written."""
    properties = feature.get("properties") if isinstance(feature, dict) else None
    return properties.get("objectType") if isinstance(properties, dict) else None


def _plane(feature: Any) -> tuple[int, ...]:
    """Slice and frame of a feature, counted from 0 as QuPath does."""
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    plane = geometry.get("plane") if isinstance(geometry, dict) else None
    given = [plane.get(axis) for axis in "zt"] if isinstance(plane, dict) else []
    return tuple(place + 1 for place in given if isinstance(place, int))
