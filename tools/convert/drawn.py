"""Objects that were drawn as outlines, in ImageJ or in QuPath, as a label image."""

import json
import logging
import re
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from skimage.draw import polygon2mask

from common.errors import one_line
from tools.convert.geojson import choose_features, find_polygons
from tools.convert.naming import naming

__all__ = ["OUTLINES", "read_outlines"]

logger = logging.getLogger(__name__)

OUTLINES = (".roi", ".zip", ".geojson")
OUTSIDE_PX = 1.0  # an outline along the border of the image may lie this far outside
AREAS = ("POLYGON", "RECT", "OVAL", "FREEHAND", "TRACED")
IN_SLICE = re.compile(r"(.+)-z(\d+)", re.ASCII)  # names of the ROIs that `segment --save imagej-roi` writes of a volume
DAMAGED = (OSError, ValueError, LookupError, RuntimeError, struct.error, zipfile.BadZipFile)
Rings = Sequence[np.ndarray]


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
        What an object is, such as cell: of GeoJSON with several classes the one that is called so is taken.

    Returns
    -------
    ndarray of int32
        The pixels whose centres lie inside the outline of object i have the value i, in the order of the file.

    Raises
    ------
    InputError
        If the file is damaged, an outline encloses no area or lies outside the image, or none holds a pixel.
    """
    labels = np.zeros(shape, np.int32)
    with naming(path):
        outlines = _of_geojson(path, kind) if path.suffix.lower() == ".geojson" else _of_imagej(path)
        if labels.ndim == 3:
            numbers = _draw_in_slices(labels, outlines)
        else:
            numbers = list(range(1, len(outlines) + 1))
            for number, (name, rings) in zip(numbers, outlines, strict=True):
                _draw(labels, rings, number, name)
        num_drawn = np.count_nonzero(np.unique(labels))
        if num_drawn < len(numbers):
            logger.warning("%s: %d of %d objects hold no pixel", path, len(numbers) - num_drawn, len(numbers))
        if numbers and not num_drawn:
            raise ValueError("no outline holds a pixel; give those of this image, in pixels at full resolution")
    return labels


def _draw_in_slices(labels: np.ndarray, outlines: Sequence[tuple[str, Rings]]) -> list[int]:
    """Draw outlines into the slices that their names say; numbers of the objects."""
    numbers: dict[str, int] = {}
    for name, rings in outlines:
        placed = IN_SLICE.fullmatch(name)
        if placed is None:
            raise ValueError(
                f"{name}: an outline without its slice; name the ROIs of an object <object>-z1, <object>-z2 and so on, "
                "as `segment --save imagej-roi` does"
            )
        number, z = numbers.setdefault(placed[1], len(numbers) + 1), int(placed[2])
        if not 1 <= z <= len(labels):
            raise ValueError(f"{name}: in slice {z}, the image has {len(labels)}; give the outlines of this image")
        _draw(labels[z - 1], rings, number, name)
    return [*numbers.values()]


def _draw(plane: np.ndarray, rings: Rings, number: int, name: str) -> None:
    """Give the pixels inside an odd number of rings a number."""
    if not rings:
        return
    points, (height, width) = np.concatenate(rings), plane.shape
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    if min(left, top) < -OUTSIDE_PX or right > width + OUTSIDE_PX or bottom > height + OUTSIDE_PX:
        raise ValueError(
            f"{name}: x from {left:g} to {right:g} and y from {top:g} to {bottom:g}, the image has {width} x {height} "
            "pixels; give the outlines of this image, in pixels at full resolution"
        )
    x, y = (int(max(np.floor(side), 0)) for side in (left, top))
    part = plane[y : int(np.ceil(bottom)) + 1, x : int(np.ceil(right)) + 1]
    inside = np.zeros(part.shape, bool)
    for ring in rings:
        inside ^= polygon2mask(part.shape, ring[:, ::-1] - (y + 0.5, x + 0.5))  # centres of pixels lie at half numbers
    part[inside] = number


def _of_geojson(path: Path, kind: str) -> list[tuple[str, Rings]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"not a readable GeoJSON ({one_line(error)}); export it again") from error
    features, left_out = choose_features(document, kind.lower())
    for name, number in left_out.items():
        logger.warning("%s: %d annotations of the class %s left out", path, number, name)
    return [
        (f"object {number}", [ring for rings in find_polygons(feature) for ring in rings])
        for number, feature in enumerate(features, start=1)
    ]


def _of_imagej(path: Path) -> list[tuple[str, Rings]]:
    import roifile

    try:
        read = roifile.roiread(path)
        rois = read if isinstance(read, list) else [read]
        found = [
            (roi.name or f"ROI {number}", roi.roitype.name, roi.coordinates(multi=True))
            for number, roi in enumerate(rois, start=1)
        ]
    except DAMAGED as error:
        raise ValueError(f"not readable as ROIs of ImageJ ({one_line(error)}); save them again") from error
    if not found:
        raise ValueError("no ROI in it; save the set of ROIs of ImageJ's ROI manager")
    for name, area, rings in found:
        if area not in AREAS or not rings or not all(len(ring) > 2 and np.isfinite(ring).all() for ring in rings):
            raise ValueError(f"{name}: a {area.lower()}, expected an area; remove it from the set")
    return [(name, [np.asarray(ring, float) for ring in rings]) for name, _, rings in found]
