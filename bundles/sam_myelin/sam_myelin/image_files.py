"""PNG and TIFF as they lie on disk; what is no single image is refused with a reason."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from .common.errors import InputError

__all__ = ["read_pixels"]

TIFF_COLOURS = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)
MAX_CHANNELS = 4


def read_pixels(path: str | os.PathLike) -> np.ndarray:
    """Pixels of the only image in a file, in the file's own type.

    MONAI's readers turn images on their side, cut 16 bit colours to 8, and take the first page of a TIFF stack without
    a word, so that Pillow and tifffile are used directly.

    Parameters
    ----------
    path : path
        PNG or TIFF. A PNG's palette is replaced by the colours it stands for.

    Returns
    -------
    ndarray, shape (Y, X) or (Y, X, C)
        C is 2, 3 or 4; of 2 and 4 the last is alpha.

    Raises
    ------
    InputError
        If there is none, it cannot be read, is truncated, a stack, inverted, or has colours of 16 bit in a PNG.
    """
    try:
        pixels = _read_tiff(path) if Path(path).suffix.lower() in (".tif", ".tiff") else _read_other(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; convert the data again") from error
    except InputError:
        raise
    except Exception as error:  # a broken file makes the decoders raise almost anything
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read ({reason}); it may be damaged, copy or export it again") from error
    if not pixels.size or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[-1] > MAX_CHANNELS):
        raise InputError(f"{path}: shape {pixels.shape}, expected (height, width) or colours; export single images")
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels


def _read_tiff(path: str | os.PathLike) -> np.ndarray:
    with tifffile.TiffFile(path) as file:
        if len(file.pages) != 1:
            raise InputError(f"{path}: {len(file.pages)} pages, expected one image; export each as a file of its own")
        page = file.pages[0]
        if page.photometric not in TIFF_COLOURS:
            raise InputError(f"{path}: {page.photometric.name} pixels, expected gray from black to white; export gray")
        ends = [start + size for start, size in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if max(ends) > file.filehandle.size:
            raise InputError(f"{path}: truncated, {file.filehandle.size} of {max(ends)} bytes; copy it again")
        pixels = page.asarray()
        return np.moveaxis(pixels, 0, -1) if page.axes == "SYX" else pixels


def _read_other(path: str | os.PathLike) -> np.ndarray:
    with Image.open(path) as image:
        if image.mode.startswith("RGB") and any("16" in str(tile.args) for tile in image.tile):
            raise InputError(f"{path}: colours of 16 bit, which Pillow cuts to 8; export 16 bit gray")
        if image.mode in ("P", "PA"):
            image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
        return np.asarray(image)
