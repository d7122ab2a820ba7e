"""What the numbers of a TIFF's pixels mean: black or white for zero, colours, palettes."""

from collections.abc import Iterable
from os import PathLike
from typing import BinaryIO, cast

import numpy as np
import tifffile

from ..errors import InputError
from .jpeg2000 import rounds

__all__ = [
    *("as_seen", "check_alike", "check_colours", "check_lossless", "dtype_of", "has_channels", "has_gray_palette"),
    *("is_rgb", "lossy_labels", "photometric_name"),
]

JPEG = (6, 7, 33007, 34892)  # tifffile turns their YCbCr to RGB
LOSSY = {*JPEG, 22610, 33003, 33004, 34887, 34927, 34934, 50001, 50002, 52546}  # JPEG XR and XL, WebP, LERC
JPEG_2000 = (33005, 34712)  # with or without loss
_APERIO_YCBCR = 33003  # which stays YCbCr, and is called RGB in the file
_ALPHA = {tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA}
_GRAY = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.MINISWHITE, tifffile.PHOTOMETRIC.PALETTE)


def dtype_of(page: tifffile.TiffPage) -> np.dtype:
    """Type of its pixels as `as_seen` gives them, but for palettes."""
    return np.dtype(np.int16 if _is_shifted(page) else page.dtype)


def is_rgb(page: tifffile.TiffPage) -> bool:
    """Whether its samples are red, green and blue once they are decoded."""
    photometric = _photometric(page)
    return photometric == tifffile.PHOTOMETRIC.RGB or (
        photometric == tifffile.PHOTOMETRIC.YCBCR and page.compression in JPEG
    )


def has_channels(page: tifffile.TiffPage) -> bool:
    """Whether the samples of its pixels are channels: gray, and none of them alpha."""
    samples = page.samplesperpixel
    return samples > 1 and page.photometric in _GRAY and not (samples == 2 and set(page.extrasamples) <= _ALPHA)


def check_colours(path: str | PathLike[str], page: tifffile.TiffPage) -> None:
    """Refuse pixels that are neither gray, nor a palette's, nor RGB.

    Raises
    ------
    InputError
    """
    if page.photometric not in _GRAY and not is_rgb(page):
        raise InputError(
            f"{path}: {photometric_name(page)} pixels, expected gray or RGB; export it as gray, or convert it to RGB"
        )


def check_alike(path: str | PathLike[str], pages: Iterable[tifffile.TiffPage]) -> None:
    """Refuse pages of one image whose numbers mean different things, since all are read as the first one."""
    meanings = {(page.photometric, b"" if page.colormap is None else page.colormap.tobytes()) for page in set(pages)}
    if len(meanings) > 1:
        raise InputError(
            f"{path}: pages that are black, white or a palette's colours for zero, not all alike; export all alike"
        )


def lossy_labels(path: str | PathLike[str], name: str = "JPEG") -> InputError:
    """The error of labels that are packed so."""
    return InputError(
        f"{path}: labels packed as {name}, which changes their numbers; save them as PNG, or as TIFF that is packed by "
        "zlib or not at all"
    )


def check_lossless(path: str | PathLike[str], page: tifffile.TiffPage) -> None:
    """Refuse labels that are packed as only pictures should be, by what need not give back the numbers.

    Raises
    ------
    InputError
    """
    compression, start = page.compression, min(filter(None, page.dataoffsets), default=0)
    if compression in LOSSY or (compression in JPEG_2000 and rounds(cast(BinaryIO, page.parent.filehandle), start)):
        raise lossy_labels(path, tifffile.COMPRESSION(compression).name)


def as_seen(
    path: str | PathLike[str], page: tifffile.TiffPage, pixels: np.ndarray, *, labels: bool = False
) -> np.ndarray:
    """Pixels as a viewer shows them: white is the highest value, and a palette's numbers are its colours.

    Parameters
    ----------
    path : path
        For the message.
    page : tifffile.TiffPage
        As tifffile parsed it.
    pixels : ndarray
        As decoded.
    labels : bool
        Whether they are numbers of objects, which a palette only colours.

    Returns
    -------
    ndarray
        The same where zero is black, and as int16 where ImageJ has shifted these; of a palette uint8, with a last axis
        for red, green and blue unless all colours are of one hue, from dark to bright, such as those in which Fiji
        shows a channel.

    Raises
    ------
    InputError
        If white is zero and the pixels are no unsigned integers, or numbers of objects; if a palette lacks a colour,
        or numbers of objects are packed as a JPEG or the like, which changes them.
    """
    if labels:
        check_lossless(path, page)
    if _is_shifted(page):
        return (pixels ^ pixels.dtype.type(1 << 15)).view(np.int16)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        return _from_white(path, page, pixels, labels=labels)
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None and not labels:
        return _from_palette(path, page, pixels)
    return pixels


def _is_shifted(page: tifffile.TiffPage) -> bool:
    """Whether they are 16 bit with a sign, which ImageJ keeps without one, 32768 higher, and shows as they were."""
    if page.dtype != np.uint16:
        return False
    told = page.parent.imagej_metadata or {}
    return [told.get(name) for name in ("cf", "c0", "c1")] == [0, -32768, 1]


def _from_white(path: str | PathLike[str], page: tifffile.TiffPage, pixels: np.ndarray, *, labels: bool) -> np.ndarray:
    if pixels.dtype == bool:
        return ~pixels
    if labels:
        raise InputError(
            f"{path}: MINISWHITE pixels in a label image, white for zero, so that it is not clear which is the "
            "background; export it with black for zero"
        )
    if pixels.dtype.kind != "u":
        raise InputError(
            f"{path}: MINISWHITE pixels of type {pixels.dtype}, whose highest value is not known; export gray from "
            "black to white"
        )
    highest = (1 << int(np.max(page.bitspersample))) - 1
    return pixels.dtype.type(highest) - pixels


def has_gray_palette(page: tifffile.TiffPage) -> bool:
    """Whether a palette, where there is one, holds colours of one hue only, so that their brightness says all."""
    if page.colormap is None:
        return True
    colours = _colours(page).astype(float)
    brightness = colours.max(axis=1)
    hue = colours[brightness.argmax()] / max(brightness.max(), 1)
    return bool((np.abs(colours - brightness[:, None] * hue) <= 1).all())  # they are rounded


def photometric_name(page: tifffile.TiffPage) -> str:
    """The meaning of its samples in a word, or its number if it is unknown."""
    return getattr(_photometric(page), "name", str(page.photometric)).replace("SEPARATED", "CMYK")


def _photometric(page: tifffile.TiffPage) -> int:
    return tifffile.PHOTOMETRIC.YCBCR if page.compression == _APERIO_YCBCR else page.photometric


def _colours(page: tifffile.TiffPage) -> np.ndarray:
    """The palette as uint8, shape (colours, 3)."""
    colormap = np.asarray(page.colormap)
    colormap = colormap if colormap.max() < 256 else colormap >> 8  # some writers forget the 16 bits
    return colormap.astype(np.uint8).T


def _from_palette(path: str | PathLike[str], page: tifffile.TiffPage, pixels: np.ndarray) -> np.ndarray:
    colours = _colours(page)
    pixels = pixels.astype(np.uint8) if pixels.dtype == bool else pixels
    if pixels.dtype.kind != "u" or pixels.max(initial=0) >= len(colours):
        raise InputError(
            f"{path}: {pixels.dtype} pixels beyond the {len(colours)} colours of its palette; export it again"
        )
    return colours.max(axis=1)[pixels] if has_gray_palette(page) else colours[pixels]
