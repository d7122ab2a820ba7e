"""TIFF of several series, channels or time points, as OME, ImageJ and others write it."""

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from common.errors import InputError
from common.reading.photometric import as_seen, check_alike, check_colours, dtype_of, has_channels
from common.reading.tiff_file import (
    check_chain,
    check_completeness,
    check_page,
    keyframe_of,
    open_tiff,
    without_additions,
)
from common.reading.tiff_spacing import ome_images, ome_spacing, told_spacing
from tools.formats.scenes import Scene, Window

__all__ = ["open_tiff_scenes"]

# red, green and blue in OME: a number of 32 bit, mostly with a sign, of red, green, blue and how opaque they are
HUES = {"-16776961": "FF0000", "4278190335": "FF0000", "16711935": "00FF00", "65535": "0000FF"}


@contextmanager
def open_tiff_scenes(path: Path) -> Iterator[list[Scene]]:
    """The series of a TIFF file, without thumbnails and lower resolutions, while the block runs."""
    with open_tiff(path) as tiff:
        check_chain(path, tiff)
        series = without_additions(tiff.series)
        lengths = [dict(zip(one.axes, one.shape, strict=True)) for one in series]
        num_planes = sum(math.prod(size for axis, size in one.items() if axis not in "YXS") for one in lengths)
        check_completeness(path, tiff, num_planes)
        images: list[ElementTree.Element | None] = [*ome_images(tiff)]
        if len(images) != len(tiff.series):
            images = [None] * len(tiff.series)
        told = list(zip(tiff.series, images, strict=True))
        kept = [(one, ome) for one, ome in told if any(one is known for known in series)]
        yield [scene for one, ome in kept for scene in _scenes(path, tiff, one, ome)]


def _scenes(
    path: Path, tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, ome: ElementTree.Element | None
) -> Iterator[Scene]:
    """The scene that a series is, or one for each of its positions, along an axis of any other name."""
    axes, page = series.axes, keyframe_of(next(one for one in series.pages if one is not None))
    if series.dataoffset is None:
        check_alike(path, (keyframe_of(one) for one in series.pages if one is not None))
    unnamed = [number for number, axis in enumerate(axes) if axis in "IQ"]  # of pages
    long = [number for number in unnamed if series.shape[number] > 1]
    if len(long) > 1:
        raise InputError(
            f"{path}: axes {axes} {series.shape}, of which {len(long)} have no name; save it with names, such as with "
            "tifffile's metadata={'axes': 'CZYX'}"
        )
    if unnamed and "Z" not in axes:
        first = (long or unnamed)[0]
        axes = f"{axes[:first]}Z{axes[first + 1 :]}"
    if "C" not in axes and has_channels(page):
        axes = axes.replace("S", "C")
    lengths = dict(zip(axes, series.shape, strict=True))
    others = [axis for axis, length in lengths.items() if axis not in "TCZYXS" and length > 1]
    if len(others) > 1:
        raise InputError(f"{path}: axes {axes} {series.shape}, expected T, C, Z, Y and X; export it again")
    num_channels = lengths.get("C", 1)
    channels = _channel_names(tiff, num_channels) if ome is None else _ome_channels(path, ome, num_channels)
    name = "" if ome is None else ome.get("Name") or ome.get("ID") or ""
    spacing = told_spacing(tiff, series) if ome is None else ome_spacing(ome)
    dtype, is_gray = dtype_of(page), lengths.get("S", 1) == 1
    for place in [{axis: number} for axis in others for number in range(lengths[axis])] or [{}]:
        load, window = _loader(path, tiff, series, axes, place), _window(path, tiff, series, axes, place)
        full = " ".join(filter(None, (name, *(f"{axis}{number}" for axis, number in place.items()))))
        parts = window if is_gray else None
        yield Scene(full, lengths, spacing, channels, dtype, load, parts, _hues(ome))


def _ome_channels(path: Path, ome: ElementTree.Element, length: int) -> tuple[str, ...]:
    """Names of the channels of an image; of those in this file, if it is one of a set that has a file for each."""
    names = tuple(channel.get("Name", "") for channel in ome.iterfind(".//{*}Channel"))
    if len(names) <= length:
        return names
    parts = [(part, part.find("{*}UUID")) for part in ome.iterfind(".//{*}TiffData")]
    own = {int(part.get("FirstC", 0)) for part, file in parts if file is not None and file.get("FileName") == path.name}
    return names[min(own) :][:length] if len(own) == length else ()


def _hues(ome: ElementTree.Element | None) -> tuple[str, ...]:
    """Colours of the channels of an image, those that are pure ones."""
    found = () if ome is None else ome.iterfind(".//{*}Channel")
    return tuple(HUES.get(channel.get("Color", ""), "") for channel in found)


def _channel_names(tiff: tifffile.TiffFile, length: int) -> tuple[str, ...]:
    """Of LSM; of ImageJ the labels of the first planes, where they differ."""
    told = (tiff.lsm_metadata or {}).get("ChannelColors", {}).get("ColorNames") or ()
    labels = list(told or (tiff.imagej_metadata or {}).get("Labels") or [])[:length]
    return tuple(map(str, labels)) if len(set(labels)) == length > 1 else ()


def _loader(
    path: Path, tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, axes: str, place: Mapping[str, int]
) -> Callable[[int, int], np.ndarray]:
    shape = dict(zip(axes, series.shape, strict=True))

    def load(time: int, channel: int) -> np.ndarray:
        page = keyframe_of(next(one for one in series.pages if one is not None))
        check_colours(path, page)
        at = {"T": time, "C": channel, **place}
        read = _from_pages if series.dataoffset is None else _from_memory
        pixels, left = read(path, tiff, series, axes, at)
        wanted = [axis for axis in "ZYXS" if axis in left]
        others = [axis for axis in left if axis not in wanted]  # of length 1
        pixels = pixels.transpose([left.index(axis) for axis in [*others, *wanted]])
        pixels = pixels.reshape([shape.get(axis, 1) for axis in "ZYXS" if axis != "S" or shape.get("S", 1) > 1])
        return as_seen(path, page, np.ascontiguousarray(pixels))

    return load


def _window(
    path: Path, tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, axes: str, place: Mapping[str, int]
) -> Window:
    stored = functools.cache(lambda: _stored(path, tiff, series))

    def read(time: int, channel: int, where: tuple[slice, ...]) -> np.ndarray:
        page = keyframe_of(next(one for one in series.pages if one is not None))
        check_colours(path, page)
        at: dict[str, int | slice] = {"T": time, "C": channel, **place, **dict(zip("ZYX", where, strict=True))}
        pixels = np.array(stored()[tuple(at.get(axis, 0) for axis in axes)], page.dtype)
        left = [axis for axis in axes if axis in "ZYX"]
        pixels = pixels.transpose([left.index(axis) for axis in "ZYX" if axis in left])
        return as_seen(path, page, np.ascontiguousarray(pixels if "Z" in left else pixels[None]))

    return read


def _stored(path: Path, tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> Any:
    """All pixels of a series, of which only those are read that are asked for."""
    if series.dataoffset is not None:
        return _mapped(path, tiff, series)
    import zarr

    for number, page in enumerate(series.pages):
        if page is None:
            raise InputError(f"{path}: plane {number} is missing; export it again")
        check_page(path, tiff, page)
    return zarr.open_array(series.aszarr(level=0), mode="r")


def _mapped(path: Path, tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> np.ndarray:
    """Pixels of a series whose planes lie one behind the other."""
    page, start = keyframe_of(next(one for one in series.pages if one is not None)), series.dataoffset or 0
    check_page(path, tiff, page)
    if start + series.nbytes > tiff.filehandle.size:
        raise InputError(f"{path}: truncated, pixels reach behind its {tiff.filehandle.size} bytes; copy it again")
    dtype = np.dtype(page.dtype).newbyteorder(tiff.byteorder)
    return np.memmap(path, dtype, "r", offset=start, shape=tuple(series.shape))


def _from_memory(
    path: Path, tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, axes: str, at: Mapping[str, int]
) -> tuple[np.ndarray, list[str]]:
    """Pixels of a series whose planes lie one behind the other, and their axes."""
    page, stored = keyframe_of(next(one for one in series.pages if one is not None)), _mapped(path, tiff, series)
    pixels = np.array(stored[tuple(at.get(axis, slice(None)) for axis in axes)], page.dtype)
    return pixels, [axis for axis in axes if axis not in at]


def _from_pages(
    path: Path, tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, axes: str, at: Mapping[str, int]
) -> tuple[np.ndarray, list[str]]:
    """The same of one whose planes are pages of their own; axes behind the first ones are those of a page."""
    num_outer = next(n for n in range(len(axes) + 1) if math.prod(series.shape[:n]) == len(series.pages))
    outer, inner = axes[:num_outer], axes[num_outer:]
    numbers = np.arange(len(series.pages)).reshape(series.shape[:num_outer])
    numbers = numbers[tuple(at.get(axis, slice(None)) for axis in outer)]
    planes = []
    for number in numbers.ravel().tolist():
        page = series.pages[number]
        if page is None:
            raise InputError(f"{path}: plane {number} is missing; export it again")
        check_page(path, tiff, page)
        plane = page.asarray().reshape(series.shape[num_outer:])
        planes.append(plane[tuple(at.get(axis, slice(None)) for axis in inner)])
    pixels = np.stack(planes).reshape(*numbers.shape, *planes[0].shape)
    return pixels, [axis for axis in axes if axis not in at]
