"""Size of an image's pixels: given, or told by the BIDS sidecar beside the image, or by the image itself."""

import logging
import math
import os
from pathlib import Path
from typing import Any

from .common.errors import InputError
from .common.json_file import read_json
from .common.names import stem
from .common.reading.formats import identify
from .common.reading.sidecars import sidecar_pixel_size
from .common.reading.tiff import read_pixel_size

__all__ = ["pixel_size_of"]

logger = logging.getLogger(__name__)

SQUARE = 0.01  # relative difference of width and height up to which a pixel is one


def pixel_size_of(path: str | os.PathLike, given: Any = None) -> float | None:
    """Side of an image's pixels in µm; a warning says where it is unknown.

    What the user or the datalist says is preferred. Beside the image may lie ``<stem>.json`` with ``PixelSize`` ([X,
    Y]) and ``PixelSizeUnits``; without one, OME or ImageJ metadata in a TIFF count. Of pixels that are not square it is
    that of a square with the same area. InputError if it is not positive, or the sidecar cannot be understood.
    """
    if given is not None:
        if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 < given < math.inf:
            raise InputError(f"{path}: a pixel size of {given!r} µm, expected a positive number; correct or omit it")
        return float(given)
    sidecar = Path(path).with_name(f"{stem(path)}.json")
    fields = read_json(sidecar, "correct or remove it") if sidecar.is_file() else {}
    told = sidecar_pixel_size(sidecar, fields) or (read_pixel_size(Path(path)) if identify(path) == "tiff" else None)
    if not told:
        logger.warning(
            "%s: the size of its pixels is unknown; lengths will be in pixels and tiles are not magnified; "
            "give --pixel_size_um",
            path,
        )
        return None
    height, width = told
    if abs(height - width) > SQUARE * width:
        logger.warning("%s: pixels of %g x %g um; taken as square, of the same area", path, width, height)
    return height if height == width else math.sqrt(height * width)
