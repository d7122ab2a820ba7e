"""Slides and their label maps, read band by band at the resolution that the network works at."""

import logging
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from .common.errors import InputError
from .common.reading.checking import check_all
from .common.reading.slides import Slide, nearest_level, open_labels, open_slide, pixel_size_um
from .common.reading.units import LARGEST_UM, SMALLEST_UM
from .common.reading.windows import TiffWindows

__all__ = ["ReadLabelsd", "ReadSlided", "block_mean", "check_slides", "read_scaled", "read_whole", "shrinking_factor"]

logger = logging.getLogger(__name__)


# rows of a slide in memory at a time; a row of a converter's tiles
BAND = 512


def block_mean(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Shrink an image: every pixel of the result is the mean of a block.

    Parameters
    ----------
    pixels : ndarray, shape (Y, X, C)
        The image.
    factor : int
        Height and width of the blocks; at the lower and right border they may be smaller.

    Returns
    -------
    ndarray of float32, shape (ceil(Y / factor), ceil(X / factor), C)
    """
    starts = [np.arange(0, side, factor) for side in pixels.shape[:2]]
    heights, widths = (np.diff([*first, side]) for first, side in zip(starts, pixels.shape[:2], strict=True))
    rows = np.add.reduceat(pixels, starts[0], axis=0, dtype=np.float32)  # rows first: never all pixels as float32
    return np.add.reduceat(rows, starts[1], axis=1) / np.outer(heights, widths)[..., None].astype(np.float32)


def read_scaled(image: Slide, factor: int, *, labels: bool = False) -> np.ndarray:
    """An image, shrunk; only a band of it is in memory at full resolution.

    Of a slide with a pyramid the level is read that is nearest to what is wanted.

    Parameters
    ----------
    image : Slide
        RGB slide or label map.
    factor : int
        As for `block_mean`.
    labels : bool
        For label maps: a pixel belongs to an object if at least half of its block belongs to any; where a block shows
        several, to the last of them.

    Returns
    -------
    ndarray of uint8, or int32 for labels, shape (ceil(height / factor), ceil(width / factor), C)

    Raises
    ------
    ValueError
        If pixels cannot be decoded.
    """
    level, rest = (0, factor) if labels else nearest_level(image, factor)
    if level:
        with image.at_level(level) as smaller:
            return _fitted(_read_bands(smaller, rest, labels=False), [-(-side // factor) for side in image.shape[:2]])
    return _read_bands(image, factor, labels=labels)


def _fitted(pixels: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Pixels of this height and width: the sides of levels are rounded, a row may be missing, or one too many."""
    lacking = [max(0, side - found) for side, found in zip(shape, pixels.shape[:2], strict=True)]
    return np.pad(pixels, [*((0, side) for side in lacking), (0, 0)], mode="edge")[: shape[0], : shape[1]]


def _read_bands(image: Slide, factor: int, *, labels: bool) -> np.ndarray:
    height, width = image.shape[:2]
    band = max(1, BAND // factor) * factor
    shrunk = [-(-side // factor) for side in (height, width)]
    # made first: with results of bands in between, malloc cannot use the memory of one band for the next
    pixels = np.empty((*shrunk, math.prod(image.shape[2:])), np.int32 if labels else np.uint8)
    for first in range(0, height, band):
        rows = image.read(first, 0, min(band, height - first), width)
        rows = rows.reshape(*rows.shape[:2], -1)
        place = pixels[first // factor : -(-(first + len(rows)) // factor)]
        if labels:
            place[:] = np.where(block_mean(rows > 0, factor) >= 0.5, _block_max(rows, factor), 0)
        else:
            np.rint(block_mean(rows, factor), out=place, casting="unsafe")
    return pixels


def _block_max(pixels: np.ndarray, factor: int) -> np.ndarray:
    """The largest value of every block of (Y, X, C), int32."""
    starts = [np.arange(0, size, factor) for size in pixels.shape[:2]]
    return np.maximum.reduceat(np.maximum.reduceat(pixels, starts[0], axis=0), starts[1], axis=1).astype(np.int32)


def read_whole(image: TiffWindows) -> np.ndarray:
    """All pixels of a label map, read band by band.

    Parameters
    ----------
    image : TiffWindows
        Label map.

    Returns
    -------
    ndarray of int32, shape (Y, X)
    """
    labels = np.empty(image.shape, np.int32)
    for top in range(0, image.shape[0], BAND):
        bottom = min(top + BAND, image.shape[0])
        labels[top:bottom] = image.read(top, 0, bottom - top, image.shape[1])
    return labels


def shrinking_factor(downsample: int, slide_um: float, pixel_um: float | None) -> int:
    """Slide pixels per working pixel that give a slide the working resolution of the others.

    Parameters
    ----------
    downsample : int
        The factor for slides with pixels of ``slide_um``.
    slide_um : float
        In µm.
    pixel_um : float or None
        Size of this slide's pixels in µm; None where it is not known, and ``downsample`` is taken.

    Returns
    -------
    int
        At least 1: a slide is never enlarged.
    """
    return max(1, round(downsample * slide_um / pixel_um)) if pixel_um else downsample


def check_slides(items: Sequence[Mapping[str, Any]], slide_um: float, pixel_um: float = 0.0) -> None:
    """Open every slide, so that an unreadable one stops a long run before it begins.

    A warning names slides without a pixel size.

    Parameters
    ----------
    items : sequence of mapping
        Each with the path of a slide under ``image``.
    slide_um, pixel_um : float
        As for `ReadSlided`.

    Raises
    ------
    InputError
        If headers cannot be read or are no 8 bit RGB slide's; it names all of them.
    """
    unknown: list[str] = []

    def open_and_close(path: str) -> None:
        with open_slide(Path(path)) as slide:
            if pixel_size_um(slide) is None:
                unknown.append(Path(path).name)

    check_all(items, open_and_close, trouble="slides cannot be read")
    if unknown and not pixel_um:
        logger.warning(
            "%s: no pixel size in %s, so %g µm is assumed; give the real one with --pixel_size_um, or --downsample if "
            "crypts look larger or smaller than usual",
            ", ".join(unknown[:5]) + ("" if len(unknown) <= 5 else f" and {len(unknown) - 5} more"),
            "this file" if len(unknown) == 1 else "these files",
            slide_um,
        )


def _check_same_size(path: Any, shape: Sequence[int], slide_shape: Sequence[int]) -> None:
    if tuple(shape[:2]) != tuple(slide_shape[:2]):
        raise InputError(
            f"{path}: {shape[0]} x {shape[1]} pixels, its slide has {slide_shape[0]} x {slide_shape[1]}; both must "
            "have the same grid, convert the data again"
        )


class ReadSlided(MapTransform):
    """Reads a slide and, for training, its label map at the working resolution.

    Parameters
    ----------
    keys : collection of str
        The first is the slide, others are its label maps; all hold paths.
    downsample : int
        Slide pixels per pixel of the result, along both axes, for slides with pixels of ``slide_um``; slides that
        tell another size are shrunk by the factor that makes their crypts as large.
    slide_um : float
        In µm.
    pixel_um : float
        Size of the pixels of slides that tell none, in µm; 0 where nobody knows it.

    Raises
    ------
    InputError
        If a file is no 8 bit RGB slide or no label map, is damaged, or slide and label map differ in size.
    """

    def __init__(
        self,
        keys: KeysCollection,
        downsample: int,
        slide_um: float = 0.5,
        pixel_um: float = 0.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if pixel_um and not SMALLEST_UM <= pixel_um <= LARGEST_UM:
            raise InputError(
                f"--pixel_size_um {pixel_um}: no slide's, which is {SMALLEST_UM} to {LARGEST_UM} µm; give micrometres"
            )
        self.downsample, self.slide_um, self.pixel_um = downsample, slide_um, pixel_um

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        slide_key = self.keys[0]
        slide_shape, factor, size_um = None, self.downsample, None
        for key in self.key_iterator(data):
            path = data[key]
            with _in_words(path), (open_slide if key == slide_key else open_labels)(path) as image:
                if key == slide_key:
                    slide_shape, size_um = image.shape[:2], pixel_size_um(image) or self.pixel_um
                    factor = shrinking_factor(self.downsample, self.slide_um, size_um)
                _check_same_size(path, image.shape, slide_shape or image.shape)
                pixels = read_scaled(image, factor, labels=key != slide_key)
            meta = {
                "filename_or_obj": str(path),
                "slide_shape": tuple(slide_shape or image.shape[:2]),
                "downsample": factor,
                "pixel_size_um": size_um or 0.0,
            }
            data[key] = MetaTensor(torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))), meta=meta)
        return data


class ReadLabelsd(MapTransform):
    """Reads label maps as they are, (1, Y, X) int32 at full resolution, to judge results by.

    Raises
    ------
    InputError
        If a file is no label map, or its size differs from that of the slide read before under ``image``.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        for key in self.key_iterator(data):
            path = data[key]
            with _in_words(path), open_labels(path) as image:
                _check_same_size(path, image.shape, data["image"].meta["slide_shape"])
                labels = read_whole(image)
            data[key] = MetaTensor(torch.from_numpy(labels)[None], meta={"filename_or_obj": str(path)})
        return data


@contextmanager
def _in_words(path: Any) -> Iterator[None]:
    """Errors of reading a slide or its labels as `InputError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; convert the data again") from error
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from error
