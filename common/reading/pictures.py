"""2D images in PNG, TIFF, JPEG, JPEG 2000 and BMP, as a viewer shows them; other files are refused with a reason."""

import logging
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageMode, ImageOps

from ..errors import InputError, one_line
from .formats import find_foreign, identify, no_such_file, open_file
from .jpeg2000 import check_jpeg2000, decode_jpeg2000, rounds
from .photometric import lossy_labels
from .tiff import read_picture

__all__ = [
    "LUMINANCE",
    "Tell",
    "check_shape",
    "decoded_size",
    "luminance",
    "opaque",
    "read_gray",
    "read_labels",
    "read_pixels",
    "without_alpha",
]

logger = logging.getLogger(__name__)

Tell = Callable[..., None]  # as logger.warning: a format and its values

TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".tf8")
FORMATS = ("PNG", "JPEG", "BMP")
Image.MAX_IMAGE_PIXELS = None  # Pillow takes a mosaic for an attack; what its bytes cannot be is refused below
MAX_CHANNELS = 4
MAX_LABEL = np.iinfo(np.int32).max
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue
STEPS = {"L;2": 85, "L;4": 17}  # by which Pillow multiplies gray values of 2 and 4 bit
# deflate makes at most 1,040 bytes of one, and a byte may be eight pixels; a smaller image costs nothing worth a check
LARGEST_RATIO, FREE_PX = 8 * 1040, 64 << 20


def read_pixels(path: str | os.PathLike[str], *, labels: bool = False) -> np.ndarray:
    """Pixels of the only image in a file, in the file's own type, as a viewer shows them.

    MONAI's readers turn images on their side, cut 16 bit colours to 8, and take the first page of a TIFF stack without
    a word, so that Pillow and tifffile are used directly.

    Parameters
    ----------
    path : path
        PNG, TIFF, JPEG, JPEG 2000 or BMP, whatever its name. A palette is replaced by the colours it stands for, a
        photograph turned as its camera was held, ink (CMYK) becomes light.
    labels : bool
        Whether the values are numbers of objects, which a palette only colours.

    Returns
    -------
    ndarray, shape (Y, X) or (Y, X, C)
        C is 2, 3 or 4; of 2 and 4 the last is alpha.

    Raises
    ------
    InputError
        If there is none, it cannot be read, is truncated, a stack, has colours of 16 bit in a PNG, or is a JPEG of
        numbers of objects.
    """
    try:
        kind = identify(path)
        if kind == "tiff" or (kind is None and Path(path).suffix.lower() in TIFF_SUFFIXES):
            pixels = read_picture(Path(path), labels=labels)
        elif kind == "jp2":
            if labels:
                with open_file(path) as file:
                    if rounds(file):
                        raise lossy_labels(path, "JPEG 2000")
            pixels = decode_jpeg2000(path)
        elif kind == "jpeg" and labels:
            raise lossy_labels(path)
        else:
            pixels = _read_other(path, labels=labels)
    except FileNotFoundError as error:
        raise no_such_file(path) from error
    except InputError:
        raise
    except Exception as error:  # a broken file makes the decoders raise almost anything
        if foreign := find_foreign(path):
            raise InputError(f"{path}: {foreign}") from error
        raise InputError(
            f"{path}: cannot be read ({one_line(error)}); it may be damaged, copy or export it again"
        ) from error
    if not pixels.size or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[-1] > MAX_CHANNELS):
        raise InputError(f"{path}: shape {pixels.shape}, expected (height, width) or colours; export single images")
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels


def read_gray(path: str | os.PathLike[str]) -> np.ndarray:
    """Gray values of an image.

    Parameters
    ----------
    path : path
        As for `read_pixels`: gray, or in colours that are equal, with no see-through pixel.

    Returns
    -------
    ndarray of integers or floats, shape (Y, X)
        Its gray values in the file's own type, unscaled.

    Raises
    ------
    InputError
        As `read_pixels`, or if it is in colour, of one bit, or holds values that are NaN, infinite or beyond 32 bit.
    """
    pixels = opaque(path, read_pixels(path))
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            raise InputError(
                f"{path}: {pixels.shape[-1]} channels that differ, expected a gray image; export the raw "
                "image, without colours"
            )
        pixels = np.ascontiguousarray(pixels[..., 0])
    if pixels.dtype.kind not in "uif":
        found = "one bit pixels" if pixels.dtype == bool else f"pixels of type {pixels.dtype}"
        raise InputError(f"{path}: {found}, expected gray values; export 8 or 16 bit gray")
    if pixels.dtype.kind == "f" and not (np.abs(pixels) <= np.finfo(np.float32).max).all():
        raise InputError(
            f"{path}: NaN or infinite gray values, or some beyond 32 bit, expected finite ones; export 8 or 16 bit gray"
        )
    return pixels


def read_labels(path: str | os.PathLike[str]) -> np.ndarray:
    """A label map, or a mask as one of a single object.

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
    pixels = read_pixels(path, labels=True)
    if pixels.ndim == 3:
        raise InputError(
            f"{path}: {pixels.shape[-1]} channels in a label map, expected one; export labels, not an overlay"
        )
    if pixels.dtype.kind not in "uib":
        raise InputError(f"{path}: labels of type {pixels.dtype}, expected integers; save the label map as 16 bit")
    if pixels.min() < 0 or pixels.max() > MAX_LABEL:
        raise InputError(
            f"{path}: labels from {pixels.min()} to {pixels.max()}, expected 0 to {MAX_LABEL}; renumber the objects"
        )
    return pixels.astype(np.int32)


def opaque(path: str | os.PathLike[str], pixels: np.ndarray) -> np.ndarray:
    """Pixels without their alpha channel; InputError if it makes any of them transparent."""
    if pixels.ndim == 2 or pixels.shape[-1] not in (2, 4):
        return pixels
    if (pixels[..., -1] != np.iinfo(pixels.dtype).max).any():
        raise InputError(
            f"{path}: {pixels.shape[-1]} channels, the last of which makes pixels transparent, expected opaque ones; "
            "export it without the alpha channel"
        )
    return pixels[..., 0] if pixels.shape[-1] == 2 else pixels[..., :-1]


def without_alpha(path: str | os.PathLike[str], pixels: np.ndarray, tell: Tell = logger.warning) -> np.ndarray:
    """Gray values (Y, X), or (Y, X, 3) if the channels differ; ``tell`` is called if an alpha channel is left out."""
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[-1] in (2, 4):
        clear = np.count_nonzero(pixels[..., -1] != np.iinfo(pixels.dtype).max)
        tell("%s: alpha channel left out%s", path, f" ({clear} pixels were see-through)" if clear else "")
        pixels = pixels[..., :-1]
    return np.ascontiguousarray(pixels[..., 0]) if (pixels == pixels[..., :1]).all() else pixels


def luminance(pixels: np.ndarray) -> np.ndarray:
    """Luminance (Y, X) of an image (Y, X) or (Y, X, 3), in its type."""
    return pixels if pixels.ndim == 2 else np.rint(pixels @ np.array(LUMINANCE)).astype(pixels.dtype)


def check_shape(path: str | os.PathLike[str], found: tuple[int, int], image: str, expected: tuple[int, int]) -> None:
    """Raise `InputError` unless what belongs to an image has its size (Y, X)."""
    height, width = (int(side) for side in expected)
    if tuple(found) != (height, width):
        raise InputError(
            f"{path}: {found[1]} x {found[0]} pixels (width x height), its image {image} has {width} x {height}; "
            "convert the data again"
        )


def decoded_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Number of values that decoding a PNG, JPEG, JPEG 2000 or BMP gives, and their bytes, from its header."""
    if identify(path) == "jp2":
        header = check_jpeg2000(path)
        num_values = header.height * header.width * header.samples
        return num_values, num_values * (1 if header.bits <= 8 else 2)
    with Image.open(path, formats=FORMATS) as image:
        _check_size(path, image)
        num_values = math.prod(image.size) * len(image.getbands())
        return num_values, num_values * np.dtype(ImageMode.getmode(image.mode).typestr).itemsize


def _read_other(path: str | os.PathLike[str], *, labels: bool) -> np.ndarray:
    with Image.open(path, formats=FORMATS) as opened:
        _check_header(path, opened)
        image: Image.Image = opened
        step = max((STEPS.get(str(tile.args), 1) for tile in opened.tile), default=1)
        if image.mode in ("P", "PA"):
            image = _of_palette(path, image, labels=labels)
        elif image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
            image = image.convert("RGB")
        pixels = np.asarray(ImageOps.exif_transpose(image))
        clear = image.info.get("transparency") if image.mode in ("L", "I;16", "RGB") else None
        if labels or clear is None:
            return pixels // step if labels and step > 1 else pixels
        is_clear = np.atleast_3d(pixels == np.multiply(clear, step)).all(axis=-1)
        opacity = np.where(is_clear, 0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)
        return np.dstack([pixels, opacity]) if is_clear.any() else pixels


def _check_header(path: str | os.PathLike[str], image: ImageFile.ImageFile) -> None:
    """Refuse several frames, more pixels than the file's bytes can be, and what Pillow would cut to 8 bit."""
    num_frames = getattr(image, "n_frames", 1)
    if num_frames > 1 and image.format != "MPO":  # whose others are the same picture, smaller
        raise InputError(f"{path}: {num_frames} frames, expected one image; export each as a file of its own")
    _check_size(path, image)
    if not image.mode.startswith("I") and any("16" in str(tile.args) for tile in image.tile):
        raise InputError(f"{path}: colours of 16 bit, which Pillow cuts to 8; export 16 bit gray")
    if image.format == "PNG":
        with Image.open(path, formats=("PNG",)) as parts:
            parts.verify()  # checksums, which Pillow passes over where it decodes: half of a download looks whole


def _check_size(path: str | os.PathLike[str], image: ImageFile.ImageFile) -> None:
    num_pixels, num_bytes = math.prod(image.size), Path(path).stat().st_size
    if num_pixels > FREE_PX + LARGEST_RATIO * num_bytes:
        raise InputError(f"{path}: says that {num_bytes} bytes are {num_pixels} pixels; copy or export it again")


def _of_palette(path: str | os.PathLike[str], image: Image.Image, *, labels: bool) -> Image.Image:
    if not labels:
        return image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    if image.mode == "PA" or (image.getpalette() or [])[:3] != [0, 0, 0]:
        raise InputError(
            f"{path}: a palette in a label map, whose first colour is not black, so that it is not clear which is the "
            "background; save the labels as 16 bit gray"
        )
    return image
