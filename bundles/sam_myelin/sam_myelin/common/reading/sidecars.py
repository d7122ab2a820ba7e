"""Size of a micrograph's pixels in the JSON files of BIDS microscopy."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError

__all__ = ["sidecar_pixel_size"]

MICROMETRES = {"mm": 1000.0, "um": 1.0, "µm": 1.0, "μm": 1.0, "nm": 0.001}


def sidecar_pixel_size(path: Path, fields: Mapping[str, Any]) -> tuple[float, float] | None:
    """Height and width of a pixel in µm, None if a sidecar's fields lack it; InputError if it cannot be understood."""
    if "PixelSize" not in fields or "PixelSizeUnits" not in fields:
        return None
    size, unit = fields["PixelSize"], fields["PixelSizeUnits"]
    values = size if isinstance(size, list) else [size, size]
    good = len(values) in (2, 3) and all(type(value) in (int, float) and 0 < value < math.inf for value in values)
    if not good or not isinstance(unit, str) or unit not in MICROMETRES:
        raise InputError(
            f"{path}: PixelSize {size} {unit}, expected two numbers above 0 (X, Y) and a PixelSizeUnits of um, mm or "
            "nm; correct it, or remove both for pixels"
        )
    return values[1] * MICROMETRES[unit], values[0] * MICROMETRES[unit]
