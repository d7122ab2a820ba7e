"""Micrographs and hand-drawn masks as arrays, whatever editor saved them; corrections are reported."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy import ndimage

from common.errors import InputError
from common.reading.pictures import Tell, luminance, read_pixels, without_alpha

__all__ = ["is_plain_gray", "read_classes", "read_micrograph"]

logger = logging.getLogger(__name__)

CLASS_VALUES = (0, 127, 128, 255)
MAX_GRAY_SHARE = 0.5  # of a mask's foreground; more is no mask
DARKEST_WHITE = 64  # of a mask that is gray at edges; below, its values are numbers of objects
MAX_SHARE_INSIDE = 0.05  # of the myelin, inside axons: 0 in 25 micrographs, 0.1 to 0.97 with the two exchanged


def read_micrograph(path: Path, *, tell: Tell = logger.warning) -> np.ndarray:
    """Read an image as 8 bit gray, with a warning where it is not.

    Parameters
    ----------
    path : Path
        PNG or TIFF: gray, colour, with or without alpha, 8 or 16 bit.
    tell : callable
        Hears what had to be put right.

    Returns
    -------
    ndarray of uint8, shape (Y, X)
        Gray values; colour by its luminance, 16 bit stretched from the darkest to the brightest pixel.

    Raises
    ------
    InputError
        If it cannot be read or holds neither 8 nor 16 bit.
    """
    pixels = _flatten(path, read_pixels(path), "luminance", tell)
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype != np.uint16:
        raise InputError(
            f"{path}: of type {pixels.dtype}, expected 8 or 16 bit; scale it to 0 to 255 and save it again"
        )
    lowest, highest = int(pixels.min()), int(pixels.max())
    tell("%s: 16 bit; stretched from %d to %d to 8 bit", path, lowest, highest)
    return np.rint((pixels - np.float32(lowest)) * (255 / max(highest - lowest, 1))).astype(np.uint8)


def is_plain_gray(path: Path) -> bool:
    """Whether an image file is 8 bit gray already, so that it can be copied."""
    pixels = read_pixels(path)
    return pixels.ndim == 2 and pixels.dtype == np.uint8


def read_classes(
    masks: Mapping[str, Path], shape: tuple[int, int], *, tell: Tell = logger.warning
) -> tuple[np.ndarray, np.ndarray]:
    """Axon and myelin masks of an image, from two files or from one with three gray values.

    Parameters
    ----------
    masks : mapping of str to Path
        Files of the kinds axon and myelin, or axonmyelin (0 background, 127 or 128 myelin, 255 axon). The former are
        preferred.
    shape : tuple of int
        Height and width of the image.
    tell : callable
        Hears what had to be put right.

    Returns
    -------
    axon, myelin : ndarray of bool, shape (Y, X)
        The two classes; no pixel has both.

    Raises
    ------
    InputError
        If a file is missing, cannot be read, is no mask or of another shape.
    """
    for path in masks.values():
        _check_shape(path, read_pixels(path).shape[:2], shape)
    if {"axon", "myelin"} <= set(masks):
        axon, myelin = _read_mask(masks["axon"], tell), _read_mask(masks["myelin"], tell)
        num_both = np.count_nonzero(axon & myelin)
        if num_both:
            tell("%s: %d pixels are axon and myelin; taken as axon", masks["axon"], num_both)
        return _in_order(masks["axon"], axon, myelin & ~axon)
    if "axonmyelin" in masks:
        return _in_order(masks["axonmyelin"], *_read_three_classes(masks["axonmyelin"], tell))
    (kind, path), *_ = masks.items()
    other = "myelin" if kind == "axon" else "axon"
    raise InputError(
        f"{path}: no {other} mask with it, expected both or an axonmyelin mask; add it, or remove this one"
    )


def _in_order(path: Path, axon: np.ndarray, myelin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two masks; InputError if they are exchanged."""
    if np.count_nonzero(myelin & ndimage.binary_fill_holes(axon)) > MAX_SHARE_INSIDE * np.count_nonzero(myelin):
        raise InputError(f"{path}: its axons lie around the myelin, expected them inside; exchange the two")
    return axon, myelin


def _read_mask(path: Path, tell: Tell) -> np.ndarray:
    """A mask of two values; between them, the one that is closer."""
    values = _read_values(path, tell)
    highest = int(values.max())
    mask = values > highest / 2
    if 1 < highest < DARKEST_WHITE and not np.isin(values, (0, highest)).all():
        raise InputError(
            f"{path}: values up to {highest}, expected 0 and one other; export a mask, no numbered objects"
        )
    num_gray = int(np.count_nonzero((values != highest) & (values != 0)))
    _tell_gray(path, num_gray, int(np.count_nonzero(values)), f"0 or {highest}", tell)
    return mask


def _read_three_classes(path: Path, tell: Tell) -> tuple[np.ndarray, np.ndarray]:
    """Axon and myelin of a mask of three values; between them, the one that is closest."""
    if without_alpha(path, read_pixels(path), logger.debug).ndim == 3:  # nobody knows which colour is which class
        raise InputError(f"{path}: in colour, expected gray: 0 background, 127 myelin and 255 axon; export it so")
    values = _read_values(path, tell)
    if values.max() not in (0, 255) and not np.isin(values, CLASS_VALUES).all():
        raise InputError(
            f"{path}: gray values up to {values.max()}, expected 0 background, 127 myelin and 255 axon; export it so"
        )
    num_gray = int(np.count_nonzero(~np.isin(values, CLASS_VALUES)))
    _tell_gray(path, num_gray, int(np.count_nonzero(values)), "0, 127 or 255", tell)
    return values > 191, (values > 63) & (values <= 191)


def _tell_gray(path: Path, num_gray: int, num_foreground: int, expected: str, tell: Tell) -> None:
    """Warn of gray values that were rounded; refuse a mask that is mostly gray."""
    if num_gray > MAX_GRAY_SHARE * num_foreground:
        raise InputError(
            f"{path}: {num_gray} of {num_foreground} pixels above 0 are gray, expected {expected}; export a mask, not "
            "a probability or an image"
        )
    if num_gray:
        tell("%s: %d pixels are gray, expected %s; taken as the closest", path, num_gray, expected)


def _read_values(path: Path, tell: Tell) -> np.ndarray:
    """Gray values of a mask."""
    values = _flatten(path, read_pixels(path), "highest channel", tell)
    if values.dtype == bool:
        return values.astype(np.uint8)
    if values.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path}: of type {values.dtype}, expected a mask of 8 bit; export it so")
    return values


def _flatten(path: Path, pixels: np.ndarray, rule: str, tell: Tell) -> np.ndarray:
    """One gray value per pixel, with a warning where there were more."""
    pixels = without_alpha(path, pixels, tell)
    if pixels.ndim == 2:
        return pixels
    tell("%s: in colour; taken as gray by its %s", path, rule)
    return luminance(pixels) if rule == "luminance" else pixels.max(axis=-1)


def _check_shape(path: Path, found: tuple[int, ...], expected: tuple[int, int]) -> None:
    if found != expected:
        raise InputError(
            f"{path}: {found[0]} x {found[1]} pixels (height x width), its image {expected[0]} x {expected[1]}; "
            "export both alike"
        )
