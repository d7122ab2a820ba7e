"""The image in a TIFF file: gray volumes as (Z, Y, X), pictures as (Y, X), or a reason why it is neither."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import tifffile

from ..errors import InputError
from .photometric import as_seen, check_alike, check_colours, dtype_of, has_channels, has_gray_palette, photometric_name
from .tiff_file import blaming, check_chain, check_completeness, check_page, keyframe_of, open_tiff, without_additions
from .tiff_spacing import pixel_size_of, spacing_of

__all__ = [
    *("TiffHeader", "decoded_size", "read_header", "read_picture", "read_pixel_size", "read_spacing", "read_volume")
]

logger = logging.getLogger(__name__)

SLICES = "ZTIQ"  # axes that may be those of slices: the two last are of pages that nobody named


@dataclass(frozen=True)
class TiffHeader:
    """What a TIFF file says about its pixels: shape as (Z, Y, X), Z = 1 for a 2D image, and dtype."""

    shape: tuple[int, int, int]
    dtype: np.dtype


@dataclass(frozen=True)
class _Image:
    """The only image of an open file.

    Attributes
    ----------
    pages : tuple of tifffile.TiffPage or tifffile.TiffFrame
        That hold it; the first one says what their pixels mean.
    series : tifffile.TiffPageSeries, or None
        Reads them as one array; None where they are stacked here.
    axes, shape : str, tuple of int
        Of the array, such as ``"ZYX"``; samples are S.
    """

    pages: tuple[tifffile.TiffPage | tifffile.TiffFrame, ...]
    series: tifffile.TiffPageSeries | None
    axes: str
    shape: tuple[int, ...]

    @property
    def page(self) -> tifffile.TiffPage:
        return keyframe_of(self.pages[0])

    @property
    def num_planes(self) -> int:
        """Number of images (Y, X) of one or several samples."""
        return math.prod(self._lengths(lambda axis: axis not in "YXS"))

    def _lengths(self, wanted: Callable[[str], bool]) -> list[int]:
        return [length for axis, length in zip(self.axes, self.shape, strict=True) if wanted(axis)]

    def decode(self, path: Path, last: str) -> np.ndarray:
        """Pixels as stored; the axes that ``last`` names come last, all others are one before them."""
        with blaming(path, "pixels cannot be decoded"):
            pixels = np.stack([page.asarray() for page in self.pages]) if self.series is None else self.series.asarray()
        pixels = pixels.reshape(self.shape)
        present = [axis for axis in last if axis in self.axes]
        others = [index for index, axis in enumerate(self.axes) if axis not in last]
        pixels = pixels.transpose(*others, *(self.axes.index(axis) for axis in present))
        return pixels.reshape(-1, *(self.shape[self.axes.index(axis)] for axis in present))


def read_header(path: Path, *, labels: bool = False) -> TiffHeader:
    """Shape and dtype of a gray 2D or 3D TIFF, checked without decoding a pixel.

    Every page is one slice, whatever the metadata calls the axis, so that a stack of three slices is not taken for
    RGB, nor a stack that was written page by page for its first page.

    Parameters
    ----------
    path : Path
        TIFF file.
    labels : bool
        As for `read_volume`.

    Returns
    -------
    TiffHeader
        Shape (Z, Y, X) and dtype.

    Raises
    ------
    InputError
        If the file is not a TIFF, is truncated, holds several images, samples or channels, or is not 2D or 3D.
    """
    with open_tiff(path) as tiff:
        image = _find_image(path, tiff)
        _check_volume(path, image, labels=labels)
        height, width = (image.shape[image.axes.index(axis)] for axis in "YX")
        return TiffHeader((image.num_planes, height, width), dtype_of(image.page))


def read_volume(path: Path, *, labels: bool = False) -> np.ndarray:
    """Pixels of a gray 2D or 3D TIFF, bright where a viewer shows them bright.

    Parameters
    ----------
    path : Path
        TIFF file that `read_header` accepts.
    labels : bool
        Whether the values are numbers of objects: then a palette only colours them, and white for zero is refused.

    Returns
    -------
    ndarray, shape (Z, Y, X)
        In native byte order; values as stored, except that white is the highest, and that a palette of grays is
        replaced by the grays.

    Raises
    ------
    InputError
        If the header is refused or the pixels cannot be decoded.
    """
    with open_tiff(path) as tiff:
        image = _find_image(path, tiff)
        _check_volume(path, image, labels=labels)
        if "T" in image.axes and image.num_planes > 1:
            logger.warning("%s: its %d time points are taken for the slices of one volume", path, image.num_planes)
        return as_seen(path, image.page, image.decode(path, last="YX"), labels=labels)


def read_picture(path: Path, *, labels: bool = False) -> np.ndarray:
    """Pixels of the only 2D image in a TIFF, as a viewer shows them.

    Parameters
    ----------
    path : Path
        TIFF file.
    labels : bool
        As for `read_volume`.

    Returns
    -------
    ndarray, shape (Y, X) or (Y, X, C)
        In the file's own type. A palette is replaced by the colours it stands for.

    Raises
    ------
    InputError
        If it is not a TIFF, is truncated, or holds more than one plane.
    """
    with open_tiff(path) as tiff:
        image = _find_image(path, tiff)
        if image.num_planes != 1:
            several = len(tiff.pages) > 1
            found = f"{len(tiff.pages)} pages" if several else f"{image.num_planes} planes in one page"
            raise InputError(f"{path}: {found}, expected one image; export each as a file of its own")
        check_colours(path, image.page)
        _check_samples(path, image)
        return as_seen(path, image.page, image.decode(path, last="YXS")[0], labels=labels)


def read_spacing(path: Path) -> tuple[float, float, float] | None:
    """Voxel spacing in the metadata of an ImageJ, OME or LSM TIFF.

    Parameters
    ----------
    path : Path
        TIFF file.

    Returns
    -------
    tuple of float, or None
        Spacing in µm as (Z, Y, X); None where the file does not say it along all axes, in units of length.
    """
    with open_tiff(path) as tiff, blaming(path):
        return spacing_of(tiff)


def read_pixel_size(path: Path) -> tuple[float, float] | None:
    """Height and width of a pixel in µm in the metadata of an ImageJ, OME or LSM TIFF; None if not given."""
    with open_tiff(path) as tiff, blaming(path):
        return pixel_size_of(tiff)


def decoded_size(path: Path) -> tuple[int, int]:
    """Number of values that decoding all images of a TIFF gives, and their bytes, from its headers."""
    with open_tiff(path) as tiff, blaming(path):
        num_values = max(sum(math.prod(page.shape) for page in tiff.pages), math.prod(tiff.series[0].shape))
        return num_values, num_values * max(np.dtype(keyframe_of(page).dtype).itemsize for page in tiff.pages)


def _find_image(path: Path, tiff: tifffile.TiffFile) -> _Image:
    """The only image at full resolution, whose file is whole; thumbnails and lower levels are passed over."""
    with blaming(path):
        num_pages = len(tiff.pages)
    if not num_pages:
        raise InputError(f"{path}: truncated, {tiff.filehandle.size} bytes without any page; copy it again")
    with blaming(path):
        image = _only_image(path, [one.levels[0] for one in without_additions(tiff.series)])
    if image.series is None or image.series.dataoffset is None:
        for page in image.pages:
            check_page(path, tiff, page)
    else:  # one after the other in the file
        check_page(path, tiff, image.pages[0])
        needed = image.series.dataoffset + image.series.nbytes
        if needed > tiff.filehandle.size:
            raise InputError(
                f"{path}: truncated, {tiff.filehandle.size} bytes found, pixels reach to byte {needed}; copy it again"
            )
    check_chain(path, tiff)
    with blaming(path):
        check_completeness(path, tiff, image.num_planes)
    return image


def _only_image(path: Path, series: list[tifffile.TiffPageSeries]) -> _Image:
    """What the series of a file hold; InputError where that is more than one image."""
    if len(series) > 1 and any(len(one.pages) > 1 or one.kind == "ome" for one in series):
        names = ", ".join(one.name or f"{one.axes} {one.shape}" for one in series[:9])
        raise InputError(
            f"{path}: {len(series)} images in one file ({names}), such as stage positions, expected one; export each "
            "as a file of its own"
        )
    only = series[0] if len(series) == 1 else None
    if only is not None and only.dataoffset is not None and {"Y", "X"} <= set(only.axes):
        first = cast(tifffile.TiffPage, only.pages[0])  # there is one, since it has an offset
        return _Image((first,), only, only.axes, only.shape)  # one behind the other; others need no look
    pages = tuple(page for one in series for page in one.pages if page is not None)
    if not pages:
        raise InputError(f"{path}: no image in it; copy or export it again")
    kinds = {(page.shape, str(page.dtype)) for page in pages}
    if len(kinds) > 1:
        found = ", ".join(f"{shape} {dtype}" for shape, dtype in sorted(kinds))
        raise InputError(f"{path}: pages of different shapes or types ({found}), expected slices of one volume")
    check_alike(path, map(keyframe_of, pages))
    if only is not None and len(pages) == len(only.pages) and {"Y", "X"} <= set(only.axes):
        return _Image(pages, only, only.axes, only.shape)
    return _Image(pages, None, "Q" + pages[0].axes, (len(pages), *pages[0].shape))


def _check_samples(path: Path, image: _Image) -> None:
    """Refuse channels that are stored as samples of gray pixels, which are no colours and no alpha."""
    if has_channels(image.page):
        raise InputError(
            f"{path}: {image.page.samplesperpixel} samples per pixel ({photometric_name(image.page)}), which are "
            "channels, expected one gray value or RGB; export a single channel"
        )


def _check_volume(path: Path, image: _Image, *, labels: bool) -> None:
    """Refuse colours, channels and more than three axes."""
    page = image.page
    samples = max(page.samplesperpixel for page in {keyframe_of(one) for one in image.pages})
    if samples != 1 or (page.photometric == tifffile.PHOTOMETRIC.PALETTE and not labels and not has_gray_palette(page)):
        found = f"{samples} samples per pixel ({photometric_name(page)})" if samples > 1 else "a palette of colours"
        raise InputError(
            f"{path}: {found}, expected one gray value; export a single channel, "
            "or if these are slices, write them as gray pages (photometric minisblack)"
        )
    check_colours(path, page)
    long = [axis for axis, length in zip(image.axes, image.shape, strict=True) if length > 1]
    if others := {*long} - {*"YX", *SLICES}:
        what = "channel" if others & {*"CS"} else "position"
        raise InputError(
            f"{path}: axes {image.axes} {image.shape}, expected one {what}; export a single {what}, "
            "or if these are slices, name the axis Z"
        )
    if sum(axis not in "YX" for axis in long) > 1:  # two of them may have no name
        raise InputError(f"{path}: axes {image.axes} {image.shape}, expected (Y, X) or (Z, Y, X); one file per frame")
