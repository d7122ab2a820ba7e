"""Slides: RGB images of stained tissue, read window by window, and the size of their pixels."""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import tifffile

from .windows import TiffWindows  # relative, so that a bundle can copy both

__all__ = ["UNITS_UM", "open_slide", "pixel_size_um"]

PLAUSIBLE_UM = (0.05, 20.0)
UNITS_UM = {"nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}
JPEG = (6, 7, 33007, 34892)  # tifffile turns their YCbCr to RGB


def open_slide(path: Path) -> TiffWindows:
    """A slide whose windows can be read as RGB.

    Parameters
    ----------
    path : Path
        TIFF, OME-TIFF or SVS.

    Returns
    -------
    TiffWindows
        Its pixels at full resolution, uint8 (Y, X, 3); close it, or use it in a ``with``.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If the file is not a TIFF, is truncated, or is not RGB with 8 bits per sample.
    """
    slide = TiffWindows(path)
    try:
        _check_rgb(slide)
    except ValueError:
        slide.close()
        raise
    return slide


def pixel_size_um(slide: TiffWindows) -> float | None:
    """Size of a slide's pixels, from the first of OME metadata, SVS description and resolution tags that tells it.

    Parameters
    ----------
    slide : TiffWindows
        An open slide.

    Returns
    -------
    float or None
        µm per pixel; None where the file does not tell, tells less than 0.05 or more than 20 µm, or where pixels are
        more than 1 % longer than wide or the reverse.
    """
    for candidate in (_from_ome(slide), _from_svs(slide), _from_resolution(slide)):
        if candidate is None:
            continue
        height, width = candidate
        if all(PLAUSIBLE_UM[0] <= size <= PLAUSIBLE_UM[1] for size in candidate):
            return round(width, 6) if math.isclose(height, width, rel_tol=0.01) else None
    return None


def _check_rgb(slide: TiffWindows) -> None:
    """Refuse whatever is not three samples of 8 bits that mean red, green and blue."""
    page = slide.page
    photometric = tifffile.PHOTOMETRIC(page.photometric)
    is_rgb = photometric == tifffile.PHOTOMETRIC.RGB
    is_rgb |= photometric == tifffile.PHOTOMETRIC.YCBCR and page.compression in JPEG
    if is_rgb and page.samplesperpixel == 3 and slide.dtype == "uint8":
        return
    found = f"{page.samplesperpixel} samples per pixel ({photometric.name}) of type {slide.dtype}"
    if page.samplesperpixel == 1:
        advice = "export the slide in colour"
    elif page.samplesperpixel == 4 and photometric == tifffile.PHOTOMETRIC.RGB:
        advice = "export it without the alpha channel"
    elif slide.dtype != "uint8":
        advice = "export it with 8 bits per channel"
    else:
        advice = "convert it to RGB"
    raise ValueError(f"{slide.path}: {found}, expected 3 (RGB) of type uint8; {advice}")


def _from_ome(slide: TiffWindows) -> tuple[float, float] | None:
    """Height and width of a pixel in µm from PhysicalSizeY and PhysicalSizeX."""
    if not slide.description.rstrip().endswith("OME>"):
        return None
    try:
        root = ElementTree.fromstring(slide.description)
    except ElementTree.ParseError:
        return None
    pixels = root.find(".//{*}Pixels")
    attributes = {} if pixels is None else pixels.attrib
    width = _length_um(attributes.get("PhysicalSizeX"), attributes.get("PhysicalSizeXUnit", "µm"))
    height = _length_um(attributes.get("PhysicalSizeY"), attributes.get("PhysicalSizeYUnit", "µm"))
    return None if width is None else (height or width, width)


def _length_um(text: str | None, unit: str) -> float | None:
    try:
        return float(text) * UNITS_UM[unit]
    except (TypeError, ValueError, KeyError):
        return None


def _from_svs(slide: TiffWindows) -> tuple[float, float] | None:
    """The same from ``MPP = 0.25`` in the description that Aperio scanners write."""
    match = re.search(r"\bMPP\s*=\s*([0-9.]+)", slide.description)
    size = _length_um(match[1], "µm") if match else None
    return None if size is None else (size, size)


def _from_resolution(slide: TiffWindows) -> tuple[float, float] | None:
    """The same from the resolution tags, where they have a unit."""
    tags = slide.page.tags
    unit_um = {2: 25400.0, 3: 10000.0}.get(int(getattr(tags.get("ResolutionUnit"), "value", 1)))
    if unit_um is None or "XResolution" not in tags or "YResolution" not in tags:
        return None
    (x, per_x), (y, per_y) = tags["XResolution"].value, tags["YResolution"].value
    return (unit_um * per_y / y, unit_um * per_x / x) if x and y else None
