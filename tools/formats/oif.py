"""Olympus' OIF and OIB, plane by plane."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import oiffile
import tifffile

from common.errors import InputError
from common.reading.tiff_file import check_page
from common.reading.units import length_um
from tools.formats.compound import check_chains
from tools.formats.microscopes import maker_of
from tools.formats.scenes import Scene, Spacing

__all__ = ["open_oif"]

MOST_CHANNELS = 64  # of which settings are looked for


@contextmanager
def open_oif(path: Path) -> Iterator[list[Scene]]:
    """The only scene of an OIF or OIB file, while the block runs."""
    check_chains(path)
    if maker_of(path) == "oib":
        with oiffile.CompoundFile(path) as parts:
            if "OibInfo.txt" not in parts.files():
                raise InputError(
                    f"{path}: a compound file but no OIB, such as Zeiss' ZVI; save it as OME-TIFF, such as with Fiji"
                )
    with oiffile.OifFile(path) as file:
        planes = file.series[0]  # the longest
        lengths = dict(zip(planes.axes, planes.shape, strict=True))
        other = [axis for axis, length in lengths.items() if axis not in "TCZ" and length > 1]
        if other:
            raise InputError(f"{path}: an axis {other[0]} of {lengths[other[0]]}, expected T, C, Z, Y and X; export it")
        files = {
            tuple(dict(zip(planes.axes, at, strict=True)).get(axis, 0) for axis in "TCZ"): name
            for at, name in zip(planes.indices, planes, strict=True)
        }
        first = _read(path, file, next(iter(planes)))
        height, width = first.shape
        sizes = {axis: lengths.get(axis, 1) for axis in "TCZ"} | {"Y": height, "X": width}
        channels = _channel_names(file.mainfile, sizes["C"])
        load = _loader(path, file, files, sizes["Z"])
        yield [Scene("", sizes, _spacing(file.mainfile), channels, first.dtype, load)]


def _loader(
    path: Path, file: oiffile.OifFile, files: Mapping[tuple[int, ...], str], depth: int
) -> Callable[[int, int], np.ndarray]:
    def load(time: int, channel: int) -> np.ndarray:
        return np.stack([_read(path, file, files[time, channel, z]) for z in range(depth)])

    return load


def _read(path: Path, file: oiffile.OifFile, name: str) -> np.ndarray:
    """The first page of one of the TIFFs in it, never another file that this names."""
    with file.open_file(name) as stream, tifffile.TiffFile(stream, name=name, _multifile=False) as tiff:
        page = tiff.pages.first
        check_page(path, tiff, page)
        pixels = page.asarray()
    if pixels.ndim != 2:
        raise InputError(f"{path}: a plane of shape {pixels.shape}, expected (Y, X); export it")
    return pixels


def _channel_names(settings: Mapping[str, Mapping[str, object]], length: int) -> tuple[str, ...]:
    """Of the channels that were on, which alone have planes."""
    told = [settings.get(f"GUI Channel {number} Parameters") for number in range(1, MOST_CHANNELS + 1)]
    on = [one for one in told if one is not None and str(one.get("CH Activate", 1)).strip() != "0"]
    names = tuple(str(one.get("DyeName") or one.get("CH Name") or "").strip() for one in on)
    return names if len(names) == length else ()


def _spacing(settings: Mapping[str, Mapping[str, object]]) -> Spacing:
    reference = settings.get("Reference Image Parameter", {})
    y, x = (
        length_um(reference.get(f"{side}ConvertValue"), reference.get(f"{side}Unit")) for side in ("Height", "Width")
    )
    axes = [settings.get(f"Axis {number} Parameters Common", {}) for number in range(8)]
    z = next(
        (length_um(axis.get("Interval"), axis.get("UnitName")) for axis in axes if axis.get("AxisCode") == "Z"), None
    )
    return z, y, x
