"""Pictures of slides with the outlines of their crypts."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from .common.labels.drawing import side_by_side
from .crypts import Crypt
from .outlines import outline

__all__ = ["draw_thumbnail"]

CRYPT_COLOUR, TRUTH_COLOUR = (0, 255, 255), (255, 230, 0)
LINE_PX, GAP_PX = 2, 4


def draw_thumbnail(
    image: np.ndarray,
    crypts: Sequence[Crypt],
    downsample: int,
    max_size: int = 2000,
    *,
    truth: Sequence[Crypt] | None = None,
) -> np.ndarray:
    """A slide with its crypts outlined in cyan.

    Parameters
    ----------
    image : ndarray of uint8, shape (h, w, 3)
        The slide at the working resolution.
    crypts : sequence of Crypt
        In slide pixels.
    downsample : int
        Slide pixels per working pixel.
    max_size : int
        Longest side of the picture, in pixels; a smaller image is not enlarged.
    truth : sequence of Crypt, optional
        Outlined in yellow below the others; then the slide without outlines stands on the left.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        Red, green, blue.
    """
    height, width = image.shape[:2]
    room = max_size if truth is None else max((max_size - GAP_PX) // 2, 1)
    scale = min(1.0, max_size / height, room / width)
    size = (max(int(width * scale), 1), max(int(height * scale), 1))
    plain = Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.BOX)
    picture, scale = plain.copy(), scale / downsample
    for group, colour in ((truth or (), TRUTH_COLOUR), (crypts, CRYPT_COLOUR)):
        _draw_outlines(picture, group, scale, colour)
    if truth is None:
        return np.array(picture)
    return side_by_side([np.array(plain), np.array(picture)], GAP_PX)


def _draw_outlines(picture: Image.Image, crypts: Sequence[Crypt], scale: float, colour: tuple[int, int, int]) -> None:
    """Draw the rings of crypts, in slide pixels times ``scale``."""
    draw = ImageDraw.Draw(picture)
    for crypt in crypts:
        for ring in outline(crypt, tolerance=0.25 / scale):
            draw.line((ring * scale).ravel().tolist(), fill=colour, width=LINE_PX, joint="curve")
