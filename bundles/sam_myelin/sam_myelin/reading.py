"""Micrographs, label maps and masks, refused with a reason where they are none."""

import logging
import math
import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform

from .common.errors import InputError
from .common.json_file import read_json
from .common.names import stem
from .common.reading.checking import check_all
from .common.reading.formats import identify
from .common.reading.picture_transforms import to_tensor
from .common.reading.pictures import Tell, luminance, read_pixels, without_alpha
from .common.reading.sidecars import sidecar_pixel_size
from .common.reading.tiff import read_pixel_size
from .normalisation import to_rgb

__all__ = ["ReadMicrographd", "check_images", "read_mask", "read_micrograph"]

logger = logging.getLogger(__name__)

MAX_GRAY_SHARE = 0.5  # of a mask's foreground; more is no mask
SQUARE = 0.01  # relative difference of width and height up to which a pixel is one


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
            f"{path}: gray values of type {pixels.dtype}, expected 8 or 16 bit; scale it to 0 to 255 and export it "
            "again"
        )
    return without_alpha(path, pixels, tell)


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
        values = without_alpha(path, values, tell)
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


def pixel_size_of(path: str | os.PathLike, given: Any = None) -> float | None:
    """Side of an image's pixels in µm; a warning says where it is unknown.

    Parameters
    ----------
    path : path
        The image. Beside it may lie ``<stem>.json`` with ``PixelSize`` ([X, Y]) and ``PixelSizeUnits``; without one,
        what OME or ImageJ metadata in a TIFF say.
    given : float, optional
        What the user or the datalist says; preferred.

    Returns
    -------
    float or None
        Of pixels that are not square, that of a square with the same area.

    Raises
    ------
    InputError
        If it is not positive, or the sidecar cannot be understood.
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
    check_all(items, lambda path: read_micrograph(path, tell=logger.debug))


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
    sample : path or "none"
        A file of gray values that NumPy reads, by which images are stretched in the place of their own.

    Raises
    ------
    InputError
        As `read_micrograph` and `pixel_size_of`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        pixel_size_um: float | str = "none",
        sample: str | os.PathLike[str] = "none",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.pixel_size_um = None if pixel_size_um == "none" else pixel_size_um
        self.sample = None if sample == "none" else np.load(sample)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        given = data.get("pixel_size_um") if self.pixel_size_um is None else self.pixel_size_um
        for key in self.key_iterator(data):
            path = data[key]
            pixel_size_um = pixel_size_of(path, given)
            tensor = to_tensor(to_rgb(luminance(read_micrograph(path)), sample=self.sample), path)
            tensor.meta["pixel_size_um"] = math.nan if pixel_size_um is None else pixel_size_um
            data[key] = tensor
        return data
