"""Slides in microscopes' own formats, read window by window as all other slides are."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.reading.slides import Slide, open_slide, pixel_size_um
from tools.formats.microscopes import has_images, open_scenes
from tools.formats.scenes import Pick, Scene, Window, chosen

__all__ = ["SceneSlide", "open_any_slide", "size_of_pixels"]


class SceneSlide:
    """A scene in colours of which windows are read, as `common.reading.windows.TiffWindows` reads them.

    Attributes
    ----------
    shape : tuple of int
        (Y, X, 3).
    pixel_size_um : float or None
        Where pixels are squares and the file tells it.

    Raises
    ------
    InputError
        If it is not RGB of 8 bit, a stack, or in a format that is read by whole planes only.
    """

    def __init__(self, path: Path, scene: Scene, time: int, channel: int) -> None:
        self.shape = (scene.size("Y"), scene.size("X"), scene.size("S"))
        if scene.size("Z") > 1 or self.shape[2] != 3 or scene.dtype != np.uint8:
            raise InputError(
                f"{path}: {scene.size('Z')} planes of {self.shape[2]} samples of type {scene.dtype}, expected one of 3 "
                "(RGB) of type uint8; export the slide in colour"
            )
        if scene.window is None:
            raise InputError(
                f"{path}: its format can only be read as a whole, which slides are too large for; export it as OME-TIFF"
            )
        self._window: Window = scene.window
        self._time, self._channel = time, channel
        _, height, width = scene.spacing
        is_square = height is not None and width is not None and abs(height - width) <= 0.01 * width
        self.pixel_size_um = width if is_square else None

    def read(self, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Pixels of one window, uint8 (height, width, 3)."""
        where = (slice(0, 1), slice(y, y + height), slice(x, x + width))
        return self._window(self._time, self._channel, where)[0]


@contextmanager
def open_any_slide(path: Path) -> Iterator[Slide | SceneSlide]:
    """A slide of any format, while the block runs; InputError as `open_slide`, `chosen` and `SceneSlide`."""
    if not has_images(path, Pick(), num_axes=2):
        with open_slide(path) as slide:
            yield slide
        return
    with open_scenes(path) as scenes:
        yield SceneSlide(path, *chosen(path, scenes, Pick(), in_colours=True))


def size_of_pixels(slide: Slide | SceneSlide) -> float | None:
    """µm per pixel, if the file gives it."""
    return slide.pixel_size_um if isinstance(slide, SceneSlide) else pixel_size_um(slide)
