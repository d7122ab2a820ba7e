"""Windows of a TIFF image, read without decoding the rest of it."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
import tifffile

from ..errors import InputError
from .photometric import is_rgb
from .tiff_file import blaming, check_chain, check_page, open_tiff, tile_shape, without_additions
from .tiff_spacing import told_spacing

__all__ = ["TiffWindows"]


class TiffWindows:
    """The first image of a TIFF, of which any window can be read.

    Only the tiles or strips under a window are decoded; those used last are kept. An image compressed as one single
    strip has to be decoded whole.

    Parameters
    ----------
    path : Path
        TIFF file, tiled or in strips, with any compression that imagecodecs knows.
    level : int
        Of a pyramid (OME-TIFF, SVS); 0 is full resolution.
    cache_bytes : int
        How much of what was decoded to keep; the tiles under one window are always kept.

    Attributes
    ----------
    path : Path
        The file.
    page : tifffile.TiffPage
        The page that is read.
    shape : tuple of int
        (Y, X), or (Y, X, samples) where there are several samples per pixel.
    dtype : numpy.dtype
        Of the pixels, in native byte order.
    level_shapes : tuple of (int, int)
        Height and width of the pyramid's levels.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    InputError
        If it is not a TIFF, is truncated, or holds several images or planes.
    """

    def __init__(self, path: Path, *, level: int = 0, cache_bytes: int = 1 << 27) -> None:
        self.path = Path(path)
        self._tiff = open_tiff(self.path)
        try:
            with blaming(self.path):
                pages = _first_image(self.path, self._tiff)
                self.page = pages[level]
                check_page(self.path, self._tiff, self.page)
                height, width, samples = self.page.imagelength, self.page.imagewidth, self.page.samplesperpixel
                self.shape = (height, width) if samples == 1 else (height, width, samples)
                self.dtype = np.dtype(self.page.dtype)
                self.level_shapes = tuple((page.imagelength, page.imagewidth) for page in pages)
        except BaseException:
            self._tiff.close()
            raise
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
        self._cache_bytes = cache_bytes
        self._lock = threading.Lock()

    def __enter__(self) -> TiffWindows:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._tiff.close()

    def at_level(self, level: int) -> TiffWindows:
        """The image at another level of its pyramid, opened anew."""
        return TiffWindows(self.path, level=level, cache_bytes=self._cache_bytes)

    @property
    def told_spacing(self) -> tuple[float | None, float | None, float | None]:
        """Spacing at full resolution in µm as (Z, Y, X), from OME or ImageJ metadata; None for each not given."""
        return told_spacing(self._tiff)

    @property
    def description(self) -> str:
        """The image's description tag, empty if there is none."""
        return self.page.description

    def read(self, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Pixels of one window.

        Parameters
        ----------
        y, x : int
            Top left corner.
        height, width : int
            Size in pixels; the window lies inside the image.

        Returns
        -------
        ndarray, shape (height, width) or (height, width, samples)
            Values as decoded; YCbCr JPEG comes as RGB. The array is the caller's own.

        Raises
        ------
        ValueError
            If the window is not inside the image, or its pixels cannot be decoded.
        """
        if min(y, x) < 0 or min(height, width) < 1 or y + height > self.shape[0] or x + width > self.shape[1]:
            raise ValueError(
                f"{self.path}: no window of {height} x {width} at ({y}, {x}) in {self.shape[0]} x {self.shape[1]} "
                "pixels; crop it to the image"
            )
        with self._lock, blaming(self.path, "pixels cannot be decoded"):
            return self._read_rows(y, x, height, width) if self._is_raw else self._read(y, x, height, width)

    @property
    def _is_raw(self) -> bool:
        """Whether the pixels lie in the file row by row, uncompressed: then no strip needs to be read as a whole."""
        page = self.page
        plain = page.compression == 1 and page.predictor == 1 and page.fillorder == 1 and not page.is_tiled
        bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
        contig = page.samplesperpixel == 1 or page.planarconfig == tifffile.PLANARCONFIG.CONTIG
        return plain and contig and bits == 8 * self.dtype.itemsize and bool(page.is_contiguous)

    def _read_rows(self, y: int, x: int, height: int, width: int) -> np.ndarray:
        dtype = self.dtype.newbyteorder(self._tiff.byteorder)
        row = self.shape[1:]
        offset = self.page.dataoffsets[0] + y * int(np.prod(row)) * dtype.itemsize
        rows = np.memmap(self.path, dtype, "r", offset=offset, shape=(height, *row))
        return np.array(rows[:, x : x + width], self.dtype)

    def _read(self, y: int, x: int, height: int, width: int) -> np.ndarray:
        """A window put together from the tiles or strips under it."""
        page = self.page
        tile_height, tile_width = tile_shape(page)
        per_row = -(-page.imagewidth // tile_width)
        per_plane = per_row * -(-page.imagelength // tile_height)
        rows = range(y // tile_height, -(-(y + height) // tile_height))
        columns = range(x // tile_width, -(-(x + width) // tile_width))
        planes = range(len(page.dataoffsets) // per_plane)
        nothing = np.iinfo(self.dtype).max if is_rgb(page) and self.dtype.kind == "u" else 0
        window = np.full((height, width, page.samplesperpixel), nothing, self.dtype)
        wanted = [plane * per_plane + row * per_row + column for plane in planes for row in rows for column in columns]
        for index in wanted:
            plane, place = divmod(index, per_plane)
            top, left = place // per_row * tile_height - y, place % per_row * tile_width - x
            tile = self._tile(index, keep=len(wanted))
            if tile is None:  # the scanner saw nothing there, which is white in a slide
                continue
            bottom, right = min(top + tile.shape[0], height), min(left + tile.shape[1], width)
            samples = slice(None) if len(planes) == 1 else slice(plane, plane + 1)
            part = tile[max(-top, 0) : bottom - top, max(-left, 0) : right - left]
            window[max(top, 0) : bottom, max(left, 0) : right, samples] = part
        return window.reshape(height, width, *self.shape[2:])

    def _tile(self, index: int, *, keep: int) -> np.ndarray | None:
        """One decoded tile or strip, cropped to the image, shape (Y, X, samples)."""
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        page, handle = self.page, self._tiff.filehandle
        if not page.databytecounts[index]:
            return None
        handle.seek(page.dataoffsets[index])
        data = handle.read(page.databytecounts[index])
        tile = page.decode(data, index, jpegtables=page.jpegtables, jpegheader=page.jpegheader)[0]
        if tile is None:
            return None
        self._cache[index] = tile[0]
        while len(self._cache) > max(keep, self._cache_bytes // max(tile.nbytes, 1)):
            self._cache.popitem(last=False)
        return tile[0]


def _first_image(path: Path, tiff: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    """The pages of the only image's levels, of which the first must be a single one."""
    check_chain(path, tiff)
    with blaming(path):
        series = [one for one in tiff.series if math.prod(one.shape)]
        if not series:
            raise InputError(f"{path}: no image in it; copy or export it again")
        images = without_additions(series)
        if len(images) > 1:
            names = ", ".join(one.name or f"{one.axes} {one.shape}" for one in images[:9])
            raise InputError(
                f"{path}: {len(images)} images in one file ({names}), expected one; export each as a file of its own"
            )
        level = images[0].levels[0]
        pages = [page for page in level.pages if page is not None]
        page = pages[0].aspage()
    if len(pages) > 1 or math.prod(level.shape) > math.prod(page.shape):
        raise InputError(
            f"{path}: axes {level.axes} {level.shape}, several planes, expected one image; export a single plane, "
            "with its colours in one page"
        )
    with blaming(path):
        smaller = [[page for page in one.pages if page is not None] for one in images[0].levels[1:]]
        return [page, *(pages[0].aspage() for pages in smaller if len(pages) == 1)]
