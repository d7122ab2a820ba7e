"""Slides: RGB images of stained tissue, read window by window, and the size of their pixels."""

import math
import re
from pathlib import Path

import tifffile

from ..errors import InputError
from .photometric import check_lossless, dtype_of, is_rgb, photometric_name
from .scanners import STANDARD_UM, ScannedSlide, is_scanned
from .tiff_file import blaming
from .tiff_spacing import resolution_um
from .units import length_um
from .windows import TiffWindows

__all__ = ["Slide", "nearest_level", "open_labels", "open_slide", "pixel_size_um"]

Slide = TiffWindows | ScannedSlide

PLAUSIBLE_UM = (0.05, 20.0)


def open_slide(path: Path) -> Slide:
    """A slide whose windows can be read as RGB.

    Parameters
    ----------
    path : Path
        TIFF, OME-TIFF or SVS; NDPI, MRXS, SCN and others where OpenSlide is installed.

    Returns
    -------
    TiffWindows or ScannedSlide
        Its pixels at full resolution, uint8 (Y, X, 3); close it, or use it in a ``with``.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    InputError
        If the file is not a TIFF, is truncated, or is not RGB with 8 bits per sample.
    """
    if is_scanned(path):
        return ScannedSlide(path)
    slide = TiffWindows(path)
    try:
        with blaming(slide.path):
            _check_rgb(slide)
    except BaseException:
        slide.close()
        raise
    return slide


def open_labels(path: Path) -> TiffWindows:
    """A label map whose windows can be read.

    Parameters
    ----------
    path : Path
        TIFF with one integer per pixel: 0 is background, every other number an object.

    Returns
    -------
    TiffWindows
        Close it, or use it in a ``with``.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    InputError
        If the file is not a TIFF, is truncated, or no label map.
    """
    labels = TiffWindows(path)
    page = labels.page
    is_plain = page.photometric in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.PALETTE)
    is_plain = is_plain and dtype_of(page) == labels.dtype
    try:
        check_lossless(path, page)
    except InputError:
        labels.close()
        raise
    if is_plain and page.samplesperpixel == 1 and labels.dtype.kind in "uib":
        return labels
    labels.close()
    raise InputError(
        f"{path}: {page.samplesperpixel} samples per pixel ({photometric_name(page)}) of type {labels.dtype}, expected "
        "one integer with black for zero; export labels, not an overlay"
    )


def nearest_level(slide: Slide, factor: int) -> tuple[int, int]:
    """The level of a pyramid to read where a slide is to be shrunk.

    Parameters
    ----------
    slide : Slide
        At full resolution.
    factor : int
        By which height and width are divided.

    Returns
    -------
    level : int
        The smallest one from which a whole number leads to what is wanted; 0 is full resolution.
    rest : int
        That number.
    """
    height, width = slide.level_shapes[0]
    for level, (level_height, level_width) in reversed(list(enumerate(slide.level_shapes))):
        steps = round(height / level_height), round(width / level_width)
        fits = steps[0] == steps[1] and all(
            abs(length - whole / steps[0]) < 2 for length, whole in ((level_height, height), (level_width, width))
        )
        if fits and factor % steps[0] == 0:
            return level, factor // steps[0]
    return 0, factor


def pixel_size_um(slide: Slide) -> float | None:
    """Pixel size of a slide, from the first of these that gives it: OME or ImageJ, SVS's description, resolution tags.

    Last comes what the magnification in SVS's description usually means.

    Parameters
    ----------
    slide : Slide
        An open slide, at full resolution.

    Returns
    -------
    float or None
        µm per pixel; None if the file does not give it, gives less than 0.05 or more than 20 µm, or if pixels are
        more than 1 % longer than wide or the reverse.

    Raises
    ------
    InputError
        If the metadata that give it are damaged.
    """
    if isinstance(slide, ScannedSlide):
        candidates = [slide.pixel_size()]
    else:
        with blaming(slide.path, "the size of its pixels cannot be read"):
            candidates = [_from_metadata(slide), _from_svs(slide), resolution_um(slide.page)]
            candidates.append(_from_magnification(slide))
    for candidate in candidates:
        if candidate is None:
            continue
        height, width = candidate
        if all(PLAUSIBLE_UM[0] <= size <= PLAUSIBLE_UM[1] for size in candidate):
            return round(width, 6) if math.isclose(height, width, rel_tol=0.01) else None
    return None


def _check_rgb(slide: TiffWindows) -> None:
    """Refuse whatever is not three samples of 8 bits that mean red, green and blue."""
    page = slide.page
    if is_rgb(page) and page.samplesperpixel == 3 and slide.dtype == "uint8":
        return
    found = f"{page.samplesperpixel} samples per pixel ({photometric_name(page)}) of type {slide.dtype}"
    if page.samplesperpixel == 1:
        advice = "export the slide in colour"
    elif page.samplesperpixel == 4 and page.photometric == tifffile.PHOTOMETRIC.RGB:
        advice = "export it without the alpha channel"
    elif slide.dtype != "uint8":
        advice = "export it with 8 bits per channel"
    else:
        advice = "convert it to RGB"
    raise InputError(f"{slide.path}: {found}, expected 3 (RGB) of type uint8; {advice}")


def _from_metadata(slide: TiffWindows) -> tuple[float, float] | None:
    """Height and width of a pixel in µm from OME or ImageJ."""
    _, height, width = slide.told_spacing
    return None if width is None else (height or width, width)


def _from_svs(slide: TiffWindows) -> tuple[float, float] | None:
    """The same from ``MPP = 0.25`` in the description that Aperio scanners write, some with a decimal comma."""
    size = length_um(_told(slide, "MPP"), "µm")
    return None if size is None else (size, size)


def _from_magnification(slide: TiffWindows) -> tuple[float, float] | None:
    """What ``AppMag = 20`` there usually means."""
    power = length_um(_told(slide, "AppMag"), "µm")
    return None if power is None else (STANDARD_UM / power, STANDARD_UM / power)


def _told(slide: TiffWindows, name: str) -> str | None:
    match = re.search(rf"\b{name}\s*=\s*([0-9.,]+)", slide.description)
    return match[1].replace(",", ".") if match else None
