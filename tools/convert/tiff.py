"""Gray TIFF volumes, read as (Z, Y, X) or refused with a reason."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile

from common.errors import InputError
from common.reading.slides import UNITS_UM

__all__ = ["TiffHeader", "read_header", "read_spacing", "read_volume"]


@dataclass(frozen=True)
class TiffHeader:
    """What a TIFF file says about its pixels: shape as (Z, Y, X), Z = 1 for a 2D image, and dtype."""

    shape: tuple[int, int, int]
    dtype: np.dtype


def read_header(path: Path) -> TiffHeader:
    """Shape and dtype of a gray 2D or 3D TIFF, checked without decoding a pixel.

    Every page is one slice, whatever the metadata calls the axis, so that a stack of three slices is not taken for
    RGB, nor a stack that was written page by page for its first page.

    Parameters
    ----------
    path : Path
        TIFF file.

    Returns
    -------
    TiffHeader
        Shape (Z, Y, X) and dtype.

    Raises
    ------
    InputError
        If the file is not a TIFF, is truncated, has several samples per pixel or channels, or is not 2D or 3D.
    """
    with _opened(path) as tiff:
        return _checked_header(path, tiff)


def read_volume(path: Path) -> np.ndarray:
    """Pixels of a gray 2D or 3D TIFF.

    Parameters
    ----------
    path : Path
        TIFF file that `read_header` accepts.

    Returns
    -------
    ndarray, shape (Z, Y, X)
        Values as stored, in native byte order.

    Raises
    ------
    InputError
        If the header is refused or the pixels cannot be decoded.
    """
    with _opened(path) as tiff:
        header = _checked_header(path, tiff)
        try:
            pixels = tiff.asarray(key=slice(None)) if len(tiff.pages) > 1 else tiff.asarray()
        except (ValueError, RuntimeError, OSError, zlib.error) as error:
            raise InputError(f"{path}: pixels cannot be decoded ({error}); copy or export it again") from error
    return pixels.reshape(header.shape)


def read_spacing(path: Path) -> tuple[float, float, float] | None:
    """Voxel spacing that an ImageJ or OME TIFF tells of.

    Parameters
    ----------
    path : Path
        TIFF file.

    Returns
    -------
    tuple of float, or None
        Spacing in µm as (Z, Y, X); None where the file does not say it along all axes, in a unit of length.
    """
    with _opened(path) as tiff:
        if tiff.is_ome:
            pixels = ElementTree.fromstring(tiff.ome_metadata).find(".//{*}Pixels")
            found = {} if pixels is None else pixels.attrib
            steps = [(found.get(f"PhysicalSize{a}"), found.get(f"PhysicalSize{a}Unit", "µm")) for a in "ZYX"]
        elif tiff.is_imagej:
            unit, tags = tiff.imagej_metadata.get("unit"), tiff.pages[0].tags
            per_pixel = [_per_pixel(tags.get(name)) for name in ("YResolution", "XResolution")]
            steps = [(length, unit) for length in (tiff.imagej_metadata.get("spacing"), *per_pixel)]
        else:
            return None
    try:
        return tuple(float(length) * UNITS_UM[unit.replace("\\u00B5", "µ")] for length, unit in steps)
    except (TypeError, ValueError, KeyError, AttributeError):
        return None


def _per_pixel(resolution: tifffile.TiffTag | None) -> float | None:
    """Length of a pixel, from the tag that says how many pixels a length has."""
    pixels, length = resolution.value if resolution else (0, 0)
    return length / pixels if pixels else None


@contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """The file, whose pages are parsed once however often they are looked at; InputError where it is no TIFF."""
    try:
        with tifffile.TiffFile(path, _multifile=False) as tiff:
            tiff.pages.cache = True
            yield tiff
    except (tifffile.TiffFileError, struct.error, IndexError, TypeError) as error:
        raise InputError(f"{path}: not a readable TIFF ({error or 'no page'}); copy or export it again") from error


def _checked_header(path: Path, tiff: tifffile.TiffFile) -> TiffHeader:
    _check_gray(path, tiff)
    _check_whole(path, tiff)
    return TiffHeader(_shape(path, tiff), np.dtype(tiff.pages[0].dtype))


def _check_gray(path: Path, tiff: tifffile.TiffFile) -> None:
    """Refuse RGB, other multi-sample pixels and channel axes."""
    if not len(tiff.pages):
        raise InputError(f"{path}: truncated, {tiff.filehandle.size} bytes without any page; copy it again")
    samples = max(page.samplesperpixel for page in tiff.pages)
    if samples != 1:
        colour = tifffile.PHOTOMETRIC(tiff.pages[0].photometric).name
        raise InputError(
            f"{path}: {samples} samples per pixel ({colour}), expected one gray value; export a single channel, "
            "or if these are slices, write them as gray pages (photometric minisblack)"
        )
    series = tiff.series[0]
    if dict(zip(series.axes, series.shape, strict=True)).get("C", 1) > 1:
        raise InputError(
            f"{path}: axes {series.axes} {series.shape}, expected one channel; export a single channel, "
            "or if these are slices, name the axis Z"
        )


def _check_whole(path: Path, tiff: tifffile.TiffFile) -> None:
    """Refuse a file that ends before its pixels or its chain of pages does."""
    size = tiff.filehandle.size
    segments = [pair for page in tiff.pages for pair in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if len(tiff.pages) == 1 and tiff.series[0].dataoffset is not None:  # ImageJ: one page describes a whole stack
        segments.append((tiff.series[0].dataoffset, tiff.series[0].nbytes))
    needed = max((offset + length for offset, length in segments), default=0)
    if needed > size:
        raise InputError(f"{path}: truncated, {size} bytes found, pixels reach to byte {needed}; copy it again")
    if _next_page_offset(tiff) != 0:
        raise InputError(f"{path}: truncated after {len(tiff.pages)} pages, more are announced; copy it again")


def _next_page_offset(tiff: tifffile.TiffFile) -> int:
    """Offset of the page after the last one found; 0 where the file says that it ends."""
    handle, layout = tiff.filehandle, tiff.tiff
    handle.seek(tiff.pages[-1].offset)
    (num_tags,) = struct.unpack(layout.tagnoformat, handle.read(layout.tagnosize))
    handle.seek(num_tags * layout.tagsize, 1)
    (offset,) = struct.unpack(layout.offsetformat, handle.read(layout.offsetsize))
    return offset


def _shape(path: Path, tiff: tifffile.TiffFile) -> tuple[int, int, int]:
    """Shape as (Z, Y, X): all pages where there are several, else the one page or the stack behind it."""
    page_shapes = {page.shape for page in tiff.pages}
    if len(page_shapes) > 1:
        raise InputError(f"{path}: pages of different shapes {sorted(page_shapes)}, expected slices of one volume")
    series = tiff.series[0]
    shape = (len(tiff.pages), *tiff.pages[0].shape) if len(tiff.pages) > 1 else series.shape
    *slices, height, width = shape
    if max(_num_long_axes(shape), _num_long_axes(series.shape)) > 3:
        raise InputError(f"{path}: axes {series.axes} {series.shape}, expected (Y, X) or (Z, Y, X); one file per frame")
    return (max(slices, default=1), height, width)


def _num_long_axes(shape: tuple[int, ...]) -> int:
    """Number of axes that have more than one element."""
    return sum(length > 1 for length in shape)
