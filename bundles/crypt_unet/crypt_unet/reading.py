"""Slides and their label maps, read band by band at the resolution that the network works at."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from .common.errors import InputError
from .common.reading.checking import check_all
from .common.reading.slides import open_labels, open_slide, pixel_size_um
from .common.reading.windows import TiffWindows

__all__ = ["ReadLabelsd", "ReadSlided", "block_mean", "check_slides", "read_scaled", "read_whole"]

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
    channels_first = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).float()
    if factor > 1:
        channels_first = F.avg_pool2d(channels_first, factor, ceil_mode=True, count_include_pad=False)
    return channels_first.permute(1, 2, 0).numpy()


def read_scaled(
    image: TiffWindows, factor: int, region: Sequence[int] | None = None, *, foreground: bool = False
) -> np.ndarray:
    """Part of an image, shrunk; only a band of it is in memory at full resolution.

    Parameters
    ----------
    image : TiffWindows
        RGB slide or label map.
    factor : int
        As for `block_mean`.
    region : sequence of 4 ints, optional
        Top, left, height and width in pixels of the image; without it the whole image.
    foreground : bool
        For label maps: shrink the mask of all objects; a pixel belongs to it if at least half of its block does.

    Returns
    -------
    ndarray of uint8, shape (ceil(height / factor), ceil(width / factor), C)

    Raises
    ------
    ValueError
        If pixels cannot be decoded.
    """
    top, left, height, width = region or (0, 0, *image.shape[:2])
    band = max(1, BAND // factor) * factor
    bands = []
    for first in range(top, top + height, band):
        rows = image.read(first, left, min(band, top + height - first), width)
        rows = rows.reshape(*rows.shape[:2], -1)
        if foreground:
            bands.append((block_mean(rows > 0, factor) >= 0.5).astype(np.uint8))
        else:
            bands.append(np.rint(block_mean(rows, factor)).astype(np.uint8))
    return np.concatenate(bands)


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


def check_slides(items: Sequence[Mapping[str, Any]]) -> None:
    """Open every slide, so that one that cannot be read stops a night's work before it begins, not in the middle.

    Parameters
    ----------
    items : sequence of mapping
        Each with the path of a slide under ``image``.

    Raises
    ------
    InputError
        If headers cannot be read or are no 8 bit RGB slide's; it names all of them.
    """
    check_all(items, lambda path: open_slide(Path(path)).close(), trouble="slides cannot be read")


def _square_inside(centre: Sequence[int], size: int, shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Square around a centre, moved into the image and cut where that is smaller: top, left, height, width."""
    height, width = min(size, shape[0]), min(size, shape[1])
    top = min(max(centre[0] - size // 2, 0), shape[0] - height)
    left = min(max(centre[1] - size // 2, 0), shape[1] - width)
    return top, left, height, width


def _check_same_size(path: Any, shape: Sequence[int], slide_shape: Sequence[int]) -> None:
    if tuple(shape[:2]) != tuple(slide_shape[:2]):
        raise InputError(
            f"{path}: {shape[0]} x {shape[1]} pixels, its slide has {slide_shape[0]} x {slide_shape[1]}; both must "
            "lie on the same grid, convert the data again"
        )


class ReadSlided(MapTransform):
    """Reads a slide and, for training, the mask of its objects at the working resolution.

    An item with a ``region`` (row and column of its centre, size; in slide pixels) is read there only.

    Parameters
    ----------
    keys : collection of str
        The first is the slide, others are its label maps; all hold paths.
    downsample : int
        Slide pixels per pixel of the result, along both axes.

    Raises
    ------
    InputError
        If a file is no 8 bit RGB slide or no label map, is damaged, or slide and label map differ in size.
    """

    def __init__(self, keys: KeysCollection, downsample: int, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.downsample = downsample

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        slide_key = self.keys[0]
        region, slide_shape = data.pop("region", None), None
        for key in self.key_iterator(data):
            path = data[key]
            try:
                with (open_slide if key == slide_key else open_labels)(path) as image:
                    slide_shape = slide_shape or image.shape[:2]
                    _check_same_size(path, image.shape, slide_shape)
                    square = None if region is None else _square_inside(region[:2], region[2], slide_shape)
                    pixels = read_scaled(image, self.downsample, square, foreground=key != slide_key)
                    size_um = pixel_size_um(image) if key == slide_key else None
            except FileNotFoundError as error:
                raise InputError(f"{path}: no such file; convert the data again") from error
            except InputError:
                raise
            except ValueError as error:
                raise InputError(str(error)) from error
            meta = {
                "filename_or_obj": str(path),
                "slide_shape": tuple(slide_shape),
                "downsample": self.downsample,
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
            try:
                with open_labels(path) as image:
                    _check_same_size(path, image.shape, data["image"].meta["slide_shape"])
                    labels = read_whole(image)
            except FileNotFoundError as error:
                raise InputError(f"{path}: no such file; convert the data again") from error
            except InputError:
                raise
            except ValueError as error:
                raise InputError(str(error)) from error
            data[key] = MetaTensor(torch.from_numpy(labels)[None], meta={"filename_or_obj": str(path)})
        return data
