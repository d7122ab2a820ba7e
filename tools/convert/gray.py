"""Gray images of 8 bit: read, checked, and copied without a change of a pixel; label images of 16 bit."""

import os
import shutil
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from common.errors import InputError
from common.files import replacing
from common.reading import pictures
from tools.convert.dataset import describe

__all__ = ["IMAGE_SUFFIXES", "copy_gray", "is_whole_png", "read_gray", "target_suffix", "write_png"]

COPIED = {".tif": ".tif", ".tiff": ".tif", ".png": ".png"}
IMAGE_SUFFIXES = (*COPIED, ".jpg", ".jpeg", ".jp2", ".j2k", ".bmp")
DESCRIPTION = "Description"


def read_gray(path: Path) -> np.ndarray:
    """Read a gray image of 8 bit, as the bundles do.

    Parameters
    ----------
    path : Path
        TIFF, PNG, JPEG or BMP.

    Returns
    -------
    ndarray of uint8, shape (Y, X)
        Its pixels.

    Raises
    ------
    InputError
        As `pictures.read_gray`, or if it has another type than 8 bit.
    """
    pixels = pictures.read_gray(path)
    if pixels.dtype != np.uint8:
        raise InputError(
            f"{path}: of type {pixels.dtype}, expected 8 bit (uint8); scale it to 0 to 255 and save it again"
        )
    return pixels


def target_suffix(path: Path) -> str:
    """Ending that an image gets in a dataset: .tif and .png are copied, all others become .png."""
    return COPIED.get(path.suffix.lower(), ".png")


def copy_gray(source: Path, target: Path) -> None:
    """Copy an image that `read_gray` takes, byte by byte, or pixel by pixel where the format changes.

    The target ends in `target_suffix`; it is left alone if it was made from this very source.
    """
    if COPIED.get(source.suffix.lower()) is None:
        description = describe([source])
        if not is_whole_png(target, description):
            write_png(target, read_gray(source), description)
        return
    state = source.stat()
    if target.is_file():
        found = target.stat()
        if (found.st_size, found.st_mtime_ns) == (state.st_size, state.st_mtime_ns):
            return
    with replacing(target) as partial:
        shutil.copyfile(source, partial)
        os.utime(partial, ns=(state.st_atime_ns, state.st_mtime_ns))


def write_png(path: Path, pixels: np.ndarray, description: str) -> None:
    """Write a PNG that knows what it was made from.

    Parameters
    ----------
    path : Path
        File to write or replace.
    pixels : ndarray of uint8 or uint16, shape (Y, X)
        Gray values or labels.
    description : str
        Text that changes when the source does.
    """
    text = PngImagePlugin.PngInfo()
    text.add_text(DESCRIPTION, description)
    with replacing(path) as partial:
        Image.fromarray(pixels).save(partial, format="PNG", pnginfo=text, compress_level=4)


def is_whole_png(path: Path, description: str) -> bool:
    """Whether a PNG is there, complete, and was made from what the description says."""
    if not path.is_file():
        return False
    try:
        with Image.open(path) as image:
            same = image.format == "PNG" and image.info.get(DESCRIPTION) == description
            image.verify()  # checksums of all parts; directly after open
        return same
    except (OSError, SyntaxError, ValueError, zlib.error):
        return False
