"""Leica's LIF, frame by frame."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import liffile
import numpy as np

from common.reading.units import length_um
from tools.formats.bounded import BoundedFile
from tools.formats.scenes import Scene, Spacing

__all__ = ["open_lif"]

logger = logging.getLogger(__name__)


@contextmanager
def open_lif(path: Path) -> Iterator[list[Scene]]:
    """The images of a LIF file that are pictures or volumes, while the block runs; tiles of a mosaic are scenes."""
    with BoundedFile(path) as stream, liffile.LifFile(stream) as file:
        scenes = []
        for image in file.images:
            if not isinstance(image, liffile.LifImage) or not {"Y", "X"} <= set(image.dims) <= {*"MTCZYXS"}:
                logger.info("%s: %s has the axes %s and is left out", path, image.path, ", ".join(image.dims))
                continue
            sizes, spacing, channels = dict(image.sizes), _spacing(image), _channel_names(image)
            for tile in range(sizes.pop("M", 1)):
                name = f"{image.path} tile {tile}" if image.sizes.get("M", 1) > 1 else image.path
                scenes.append(Scene(name, sizes, spacing, channels, image.dtype, _loader(image, tile)))
        yield scenes


def _loader(image: liffile.LifImage, tile: int) -> Callable[[int, int], np.ndarray]:
    def load(time: int, channel: int) -> np.ndarray:
        planes = []
        for z in range(image.sizes.get("Z", 1)):
            at: dict[str, Any] = {"T": time, "C": channel, "M": tile, "Z": z}
            planes.append(image.frame(**{axis: index for axis, index in at.items() if axis in image.sizes}))
        return np.stack(planes)

    return load


def _spacing(image: liffile.LifImage) -> Spacing:
    """From the distance between the first pixel and the last."""
    found: dict[str, float | None] = {}
    for dimension in image.xml_element.iterfind("./Data/Image/ImageDescription/Dimensions/DimensionDescription"):
        axis = liffile.liffile.DIMENSION_ID.get(int(dimension.get("DimID", 0)), "?")
        steps = int(dimension.get("NumberOfElements", 1)) - 1
        found[axis] = length_um(abs(float(dimension.get("Length", 0))) / max(steps, 1), dimension.get("Unit"))
    return found.get("Z"), found.get("Y"), found.get("X")


def _channel_names(image: liffile.LifImage) -> tuple[str, ...]:
    """The dyes, or else the colours that channels are shown in."""
    names = []
    for channel in image.xml_element.iterfind("./Data/Image/ImageDescription/Channels/ChannelDescription"):
        told = {entry.findtext("Key"): entry.findtext("Value") for entry in channel.iterfind("ChannelProperty")}
        names.append(told.get("DyeName") or channel.get("LUTName") or "")
    return tuple(names)
