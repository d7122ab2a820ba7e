"""Outlines as GeoJSON, which QuPath opens as detections of a class."""

import json
import uuid
from pathlib import Path

import numpy as np

from common.files import write_text
from tools.formats.outlines import Part, find_parts
from tools.formats.saving import About

__all__ = ["write"]

COLOUR = (255, 0, 255)


def write(path: Path, labels: np.ndarray, about: About) -> None:
    """Write a feature for each object, in pixels; its measurement is the area, in µm² where that is known."""
    _, height, width = about.spacing
    pixel_um2 = None if height is None or width is None else height * width
    areas = np.bincount(labels.ravel())
    features = []
    for label, parts in find_parts(labels):
        area, pixels = ("Area µm^2", pixel_um2) if pixel_um2 else ("Area px^2", 1.0)
        features.append(
            {
                "type": "Feature",
                "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{about.image}/{label}")),
                "geometry": _geometry(parts),
                "properties": {
                    "objectType": "detection",
                    "name": f"{about.kind} {label}",
                    "classification": {"name": about.kind.capitalize(), "color": list(COLOUR)},
                    "measurements": {area: float(areas[label] * pixels)},
                },
            }
        )
    write_text(path, json.dumps({"type": "FeatureCollection", "features": features}))


def _geometry(parts: list[Part]) -> dict[str, object]:
    rings = [[ring.tolist() for ring in part] for part in parts]
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings[0]}
    return {"type": "MultiPolygon", "coordinates": rings}
