"""Slides in the formats of scanners' makers, read by OpenSlide: NDPI, MRXS, SCN and others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .photometric import is_rgb
from .tiff_file import open_tiff

__all__ = ["STANDARD_UM", "ScannedSlide", "is_scanned"]

ENDINGS = (".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide")
# TIFF that needs no other library
PLAIN = ("generic-tiff", "aperio", "dicom")
STANDARD_UM = 10.0  # size of a pixel times magnification


def is_scanned(path: Path) -> bool:
    """Whether a file is a slide that OpenSlide has to read.

    InputError if it is called like one, and OpenSlide is not installed.
    """
    try:
        import openslide
    except ImportError as error:
        if Path(path).suffix.lower() in ENDINGS:
            raise InputError(
                f"{path}: a scanner's own format, which needs OpenSlide: pip install openslide-python openslide-bin"
            ) from error
        return False
    found = openslide.OpenSlide.detect_format(path) if Path(path).is_file() else None
    if found is None and Path(path).suffix.lower() in ENDINGS and Path(path).is_file():
        raise InputError(
            f"{path}: OpenSlide does not know it; copy it again, MRXS together with the folder of the same name"
        )
    if found == "aperio":
        with open_tiff(path) as tiff:  # in some the colours are called RGB and are not
            return not is_rgb(tiff.pages.first)
    return found is not None and found not in PLAIN


class ScannedSlide:
    """A slide of which any window can be read as RGB, as `TiffWindows` reads them.

    Where the scanner saw nothing, the slide is of its background's colour, or white. What lies outside of the bounds
    that the file tells is no part of it.

    Parameters
    ----------
    path : Path
        A file of which `is_scanned` is true.
    level : int
        Of its pyramid.

    Attributes
    ----------
    path : Path
    shape : tuple of int
        (Y, X, 3).
    dtype : numpy.dtype
        uint8.
    level_shapes : tuple of (int, int)
        Height and width of the pyramid's levels.

    Raises
    ------
    InputError
        If it cannot be opened.
    """

    def __init__(self, path: Path, *, level: int = 0) -> None:
        import openslide

        self.path, self._level = Path(path), level
        try:
            self._slide = openslide.OpenSlide(self.path)
        except (openslide.OpenSlideError, OSError) as error:
            raise InputError(f"{path}: cannot be read as a slide ({error}); copy or export it again") from error
        known: dict[str, str] = dict(self._slide.properties)
        width, height = self._slide.dimensions
        self._left, self._top = (int(known.get(f"openslide.bounds-{axis}", 0)) for axis in "xy")
        width = int(known.get("openslide.bounds-width", width))
        height = int(known.get("openslide.bounds-height", height))
        scales = self._slide.level_downsamples
        self.level_shapes = tuple((int(height / scale), int(width / scale)) for scale in scales)
        self.shape = (*self.level_shapes[level], 3)
        self.dtype = np.dtype(np.uint8)
        self._properties = known

    def __enter__(self) -> ScannedSlide:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._slide.close()

    def at_level(self, level: int) -> ScannedSlide:
        """The slide at another level of its pyramid, opened anew."""
        return ScannedSlide(self.path, level=level)

    def read(self, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Pixels of one window, uint8 (height, width, 3).

        ValueError if the window is not inside the image, or its pixels cannot be decoded.
        """
        if min(y, x) < 0 or min(height, width) < 1 or y + height > self.shape[0] or x + width > self.shape[1]:
            raise ValueError(f"{self.path}: no window of {height} x {width} at ({y}, {x}); crop it to the image")
        scale = self._slide.level_downsamples[self._level]
        corner = round(x * scale) + self._left, round(y * scale) + self._top
        try:
            pixels = np.asarray(self._slide.read_region(corner, self._level, (width, height)))
        except Exception as error:  # OpenSlide's own; the slide is of no use afterwards
            raise InputError(f"{self.path}: pixels cannot be decoded ({error}); copy it again") from error
        colour = self._properties.get("openslide.background-color", "FFFFFF")
        background = np.array([int(colour[at : at + 2], 16) for at in (0, 2, 4)], np.float32)
        alpha = pixels[..., 3:]
        if alpha.min() == 255:
            return np.ascontiguousarray(pixels[..., :3])
        share = alpha / np.float32(255)
        return np.rint(pixels[..., :3] * share + background * (1 - share)).astype(np.uint8)

    def pixel_size(self) -> tuple[float, float] | None:
        """Height and width of a pixel at full resolution in µm, or what its magnification usually means."""
        sizes = [_number(self._properties.get(f"openslide.mpp-{axis}")) for axis in "yx"]
        if sizes[0] and sizes[1]:
            return sizes[0], sizes[1]
        power = _number(self._properties.get("openslide.objective-power"))
        return (STANDARD_UM / power, STANDARD_UM / power) if power else None


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return 0.0
