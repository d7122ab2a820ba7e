"""Pictures for the page: planes of images and of masks, outlines, counts."""

import csv
import math
from pathlib import Path

import numpy as np
from skimage.measure import label
from skimage.transform import downscale_local_mean

from common.labels import drawing
from common.reading.images import is_volume, read_image
from common.tables import from_cell

__all__ = [
    "contrast_limits",
    "draw_outlines",
    "enlarge",
    "read_table",
    "shrink",
    "summarize",
    "to_rgb",
    "write_view",
]

COLOUR = (255, 0, 255)  # seen on gray and on H&E alike
LONGEST_PX = 1500  # of a picture on the page
ENLARGED_PX = 600  # longest side up to which small images are enlarged
PERCENTILES = (0.5, 99.8)


def contrast_limits(path: Path) -> tuple[float, float]:
    """Values to show as black and white: percentiles of the whole image, so that slices can be compared."""
    values = read_image(path)
    if values.dtype == np.uint8:
        return 0.0, 255.0
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, PERCENTILES)
    if low == high:  # hardly any pixel shows something
        low, high = finite.min(), finite.max()
    return float(low), float(high)


def write_view(image: Path, target: Path) -> None:
    """Write an image as it is shown: uint8, shape (Z, y, x) or (Z, y, x, 3), as a file of NumPy's."""
    limits = contrast_limits(image)
    planes = read_image(image) if is_volume(image) else read_image(image)[None]
    for z, plane in enumerate(planes):
        picture = to_rgb(shrink(plane), limits)
        picture = picture[..., 0] if plane.ndim == 2 else picture
        if z == 0:
            view = np.lib.format.open_memmap(target, "w+", np.uint8, (len(planes), *picture.shape))
        view[z] = picture


def shrink(plane: np.ndarray, longest_px: int = LONGEST_PX) -> np.ndarray:
    """An image (Y, X) or (Y, X, C) by the whole factor that brings its longest side to at most ``longest_px``."""
    factor = math.ceil(max(plane.shape[:2]) / longest_px)
    if factor == 1:
        return plane
    factors = (factor, factor, 1)[: plane.ndim]
    return downscale_local_mean(plane, factors).astype(plane.dtype)


def enlarge(plane: np.ndarray, longest_px: int = ENLARGED_PX) -> np.ndarray:
    """An image (Y, X) or (Y, X, C), its pixels repeated while its longest side stays within ``longest_px``."""
    factor = max(1, longest_px // max(plane.shape[:2]))
    return plane.repeat(factor, axis=0).repeat(factor, axis=1)


def to_rgb(plane: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """An image (Y, X) or (Y, X, C) as uint8 (Y, X, 3), values stretched from ``limits`` to 0 and 255."""
    low, high = limits
    scaled = ((plane.astype(np.float32) - low) / max(high - low, 1e-12) * 255).clip(0, 255).astype(np.uint8)
    if scaled.ndim == 3 and scaled.shape[-1] < 3:  # gray, with or without transparency
        scaled = scaled[..., 0]
    return np.stack([scaled] * 3, axis=-1) if scaled.ndim == 2 else scaled[..., :3]


def draw_outlines(picture: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """A picture with the outlines of objects.

    Parameters
    ----------
    picture : ndarray of uint8, shape (y, x, 3)
        May be smaller than the labels, by a whole factor.
    labels : ndarray of int, shape (Y, X)
        0 is background.

    Returns
    -------
    ndarray of uint8, shape (y, x, 3)
    """
    factor = math.ceil(max(labels.shape) / max(picture.shape[:2]))
    return drawing.draw_outlines(picture, (labels, COLOUR), factor=factor)


def summarize(mask: np.ndarray, num_objects: int | None = None) -> str:
    """What a mask holds, in words.

    Parameters
    ----------
    mask : ndarray
        0 is background.
    num_objects : int, optional
        From a table, if there is one. Without it the labels of the mask are counted, or its connected regions if it has
        only one label.
    """
    numbers = np.unique(mask[mask > 0])
    share = f"{np.count_nonzero(mask) / mask.size:.1%} of the {'voxels' if mask.ndim == 3 else 'pixels'}"
    if not len(numbers):
        return "nothing found"
    if num_objects is None and len(numbers) > 1:
        num_objects = len(numbers)
    if num_objects is not None:
        return f"{num_objects} object{'s' * (num_objects != 1)}, {share}"
    regions = label(mask > 0, return_num=True)[1]
    return f"{regions} connected region{'s' * (regions > 1)}, {share}"


def read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        columns, *rows = ([from_cell(cell) for cell in row] for row in csv.reader(file))
    return columns, rows
