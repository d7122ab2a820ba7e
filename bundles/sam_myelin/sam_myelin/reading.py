"""Micrographs, label maps and masks, refused with a reason where they are none."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from .common.errors import InputError
from .image_files import read_pixels
from .normalisation import to_rgb
from .pixel_size import pixel_size_of

__all__ = [
    "ReadLabelsd",
    "ReadMicrographd",
    "check_images",
    "check_shape",
    "read_labels",
    "read_mask",
    "read_micrograph",
    "to_gray",
]

logger = logging.getLogger(__name__)

Tell = Callable[..., None]  # as logger.warning: a format and its values

MAX_LABEL = np.iinfo(np.int32).max
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue
MAX_GRAY_SHARE = 0.5  # of a mask's foreground; more is no mask


def read_micrograph(path: str | os.PathLike, *, tell: Tell = logger.warning) -> np.ndarray:
    """Read an image; an alpha channel is left out, with a warning.

    Parameters
    ----------
    path : path
        PNG or TIFF: gray or colour, 8 or 16 bit.
    tell : callable
        Hears what was left out.

    Returns
    -------
    ndarray of uint8 or uint16, shape (Y, X) or (Y, X, 3)
        Channels that are equal are gray.

    Raises
    ------
    InputError
        As `read_pixels`, or if it has neither 8 nor 16 bit.
    """
    pixels = read_pixels(path)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"{path}: gray values of type {pixels.dtype}, expected 8 or 16 bit; scale it to 0 to 255 and export it anew"
        )
    return _without_alpha(path, pixels, tell)


def to_gray(pixels: np.ndarray) -> np.ndarray:
    """Luminance (Y, X) of an image (Y, X) or (Y, X, 3), in its type: what ``tools convert myelin`` makes of colour."""
    return pixels if pixels.ndim == 2 else np.rint(pixels @ np.array(LUMINANCE)).astype(pixels.dtype)


def read_labels(path: str | os.PathLike) -> np.ndarray:
    """Read a label map, or a mask as one of a single object.

    Parameters
    ----------
    path : path
        PNG or TIFF of integers: 0 is background, every other number an object.

    Returns
    -------
    ndarray of int32, shape (Y, X)

    Raises
    ------
    InputError
        As `read_pixels`, or if it has several channels, or holds anything but integers from 0.
    """
    pixels = read_pixels(path)
    if pixels.ndim == 3:
        raise InputError(f"{path}: {pixels.shape[-1]} channels in a label map, expected one; export labels, no overlay")
    if pixels.dtype.kind not in "uib":
        raise InputError(f"{path}: labels of type {pixels.dtype}, expected integers; save the label map as 16 bit")
    if pixels.min() < 0 or pixels.max() > MAX_LABEL:
        raise InputError(
            f"{path}: labels from {pixels.min()} to {pixels.max()}, expected 0 to {MAX_LABEL}; number the objects anew"
        )
    return pixels.astype(np.int32)


def read_mask(path: str | os.PathLike, *, tell: Tell = logger.warning) -> np.ndarray:
    """Read a mask of two values, 0 and another; values between them, as soft edges have, are the one that is closer.

    Parameters
    ----------
    path : path
        PNG or TIFF.
    tell : callable
        Hears what was put right.

    Returns
    -------
    ndarray of bool, shape (Y, X)

    Raises
    ------
    InputError
        As `read_pixels`, or if it is in colour, not of 8 or 16 bit, or mostly gray.
    """
    values = read_pixels(path)
    if values.dtype in (np.uint8, np.uint16):
        values = _without_alpha(path, values, tell)
    if values.ndim == 3 or values.dtype not in (bool, np.uint8, np.uint16):
        raise InputError(f"{path}: {values.dtype} of shape {values.shape}, expected a gray mask of 8 bit; export it so")
    highest = int(values.max())
    num_gray, num_foreground = np.count_nonzero((values != 0) & (values != highest)), np.count_nonzero(values)
    if num_gray > MAX_GRAY_SHARE * num_foreground:
        raise InputError(
            f"{path}: {num_gray} of {num_foreground} pixels above 0 are gray, expected 0 or {highest}; export a mask, "
            "not a label map, a probability or an image"
        )
    if num_gray:
        tell("%s: %d pixels are gray, expected 0 or %d; taken as the closest", path, num_gray, highest)
    return values > highest / 2


def check_shape(path: str | os.PathLike, found: tuple[int, int], image: str, expected: Sequence[int]) -> None:
    """Raise `InputError` unless what belongs to an image has its size (Y, X)."""
    height, width = (int(side) for side in expected)
    if tuple(found) != (height, width):
        raise InputError(
            f"{path}: {found[1]} x {found[0]} pixels (width x height), its image {image} has {width} x {height}; "
            "convert the data again"
        )


def check_images(items: Sequence[Mapping[str, Any]]) -> None:
    """Read every image, so that one that cannot be read stops a long run before it begins, not in the middle.

    Parameters
    ----------
    items : sequence of mapping
        Each with the path of an image under ``image``.

    Raises
    ------
    InputError
        If any of them is refused by `read_micrograph`; it names all of those.
    """
    problems = []
    for item in items:
        try:
            read_micrograph(item["image"], tell=logger.debug)
        except InputError as error:
            problems.append(str(error))
    if len(problems) == len(items) == 1:
        raise InputError(problems[0])
    if problems:
        raise InputError(
            f"{len(problems)} of {len(items)} images cannot be segmented, so none was: {'; '.join(problems)}; "
            "mend them or move them out of the folder"
        )


class ReadMicrographd(MapTransform):
    """Reads micrographs as MetaTensors (3, Y, X) of float32, gray values from 0 to 255 in equal channels; see `to_rgb`.

    Their metadata tell ``filename_or_obj``, ``original_shape`` (Y, X) and ``pixel_size_um``, which is NaN where it is
    unknown.

    Parameters
    ----------
    keys : collection of str
        Paths of images.
    pixel_size_um : float or "none"
        Side of a pixel in all images; otherwise what an item says under ``pixel_size_um``, or the image's sidecar.

    Raises
    ------
    InputError
        As `read_micrograph` and `pixel_size_of`.
    """

    def __init__(
        self, keys: KeysCollection, pixel_size_um: float | str = "none", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.pixel_size_um = None if pixel_size_um == "none" else pixel_size_um

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        given = data.get("pixel_size_um") if self.pixel_size_um is None else self.pixel_size_um
        for key in self.key_iterator(data):
            path = data[key]
            pixel_size_um = pixel_size_of(path, given)
            tensor = _to_tensor(to_rgb(to_gray(read_micrograph(path))), path)
            tensor.meta["pixel_size_um"] = math.nan if pixel_size_um is None else pixel_size_um
            data[key] = tensor
        return data


class ReadLabelsd(MapTransform):
    """Reads label maps and masks as MetaTensors (1, Y, X) of int32, to be used after `ReadMicrographd`.

    Parameters
    ----------
    keys : collection of str
        Paths of label maps, or of masks, whose foreground stays what it is in the file.
    image_key : str
        The image that they belong to.

    Raises
    ------
    InputError
        As `read_labels`, or if its size differs from that of its image.
    """

    def __init__(self, keys: KeysCollection, image_key: str = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        meta = data[self.image_key].meta
        for key in self.key_iterator(data):
            labels = read_labels(data[key])
            check_shape(data[key], labels.shape, meta["filename_or_obj"], meta["original_shape"])
            data[key] = _to_tensor(labels[None], data[key])
        return data


def _to_tensor(pixels: np.ndarray, path: Any) -> MetaTensor:
    meta = {"filename_or_obj": str(path), "original_shape": pixels.shape[1:]}
    return MetaTensor(torch.from_numpy(pixels), meta=meta)


def _without_alpha(path: str | os.PathLike, pixels: np.ndarray, tell: Tell) -> np.ndarray:
    """Gray values (Y, X), or (Y, X, 3) if the channels differ."""
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[-1] in (2, 4):
        clear = np.count_nonzero(pixels[..., -1] != np.iinfo(pixels.dtype).max)
        tell("%s: alpha channel left out%s", path, f" ({clear} pixels were see-through)" if clear else "")
        pixels = pixels[..., :-1]
    return np.ascontiguousarray(pixels[..., 0]) if (pixels == pixels[..., :1]).all() else pixels
