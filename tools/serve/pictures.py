"""What the page shows of a result: pictures at display resolution, and what a mask holds in words."""

from __future__ import annotations

import csv
from itertools import islice
from pathlib import Path

import nibabel as nib
import numpy as np
import tifffile
from PIL import Image
from scipy import ndimage
from skimage.segmentation import find_boundaries

from tools.overlay import RESULT_COLOUR

__all__ = ["count_objects", "find_limits", "outline", "plane_of", "read_array", "read_table", "shrink", "summarize"]

MAX_SIDE_PX = 1500  # more is slow to send, and no screen shows it
MIN_SIDE_PX = 480  # planes of fewer pixels are enlarged, else their outlines hide the objects
THICK_FROM_PX = 900  # from here on a line of one pixel is lost when the browser shrinks the picture
PERCENTILES = (0.5, 99.8)
MAX_SAMPLED = 4_000_000  # values that percentiles are taken of
MAX_FLAGS = 1 << 26  # largest label for which a flag per label is cheaper than sorting


def read_array(path: Path) -> np.ndarray:
    """Volume (Z, Y, X), or plane (Y, X) or (Y, X, 3); transparency is dropped."""
    if path.name.endswith((".nii", ".nii.gz")):
        return np.asanyarray(nib.load(path).dataobj).T
    if path.suffix.lower() in (".tif", ".tiff"):
        array = np.squeeze(tifffile.imread(path))
        if array.ndim == 3 and array.shape[0] in (3, 4) and array.shape[-1] not in (3, 4):
            array = np.moveaxis(array, 0, -1)  # a page per colour
        return array[..., :3] if array.ndim == 3 and array.shape[-1] == 4 else array
    with Image.open(path) as picture:
        if picture.mode in ("P", "PA", "LA", "RGBA", "CMYK", "YCbCr"):
            picture = picture.convert("L" if picture.mode == "LA" else "RGB")
        return np.asarray(picture)


def plane_of(path: Path, z: int) -> np.ndarray:
    """A plane (Y, X) of a volume kept as ``.npy`` (Z, Y, X); only that plane is read. ``z`` is kept inside."""
    volume = np.load(path, mmap_mode="r", allow_pickle=False)
    return np.array(volume[min(max(int(z), 0), len(volume) - 1)])


def find_limits(image: np.ndarray) -> tuple[float, float]:
    """Values that are shown as black and as white: percentiles of all of it, or 0 and 255 for colours of 8 bit.

    Parameters
    ----------
    image : ndarray, shape (Y, X), (Y, X, 3) or (Z, Y, X)

    Returns
    -------
    tuple of float
        The second one is larger than the first.
    """
    if image.ndim == 3 and image.shape[-1] == 3 and image.dtype == np.uint8:
        return 0.0, 255.0
    values = image.ravel()[:: max(1, image.size // MAX_SAMPLED)].astype(np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = map(float, np.percentile(values, PERCENTILES))
    if high <= low:  # few bright pixels on nothing
        low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low, low + 1.0)


def shrink(plane: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """A plane as RGB at display resolution.

    Parameters
    ----------
    plane : ndarray, shape (Y, X) or (Y, X, 3)
    limits : tuple of float
        See `find_limits`.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        Shrunk by a whole factor (means) where a side is longer than 1500 pixels, enlarged by one where both are short.
    """
    larger, smaller = _factors(plane.shape[:2])
    picture = Image.fromarray(_to_bytes(plane, limits)).convert("RGB")
    array = np.asarray(picture.reduce(smaller) if smaller > 1 else picture)
    return array.repeat(larger, axis=0).repeat(larger, axis=1)


def outline(
    image_plane: np.ndarray,
    labels_plane: np.ndarray,
    limits: tuple[float, float] | None = None,
    *,
    colour: tuple[int, int, int] = RESULT_COLOUR,
) -> np.ndarray:
    """A plane as RGB at display resolution, with the outlines of its objects.

    Parameters
    ----------
    image_plane : ndarray, shape (Y, X) or (Y, X, 3)
    labels_plane : ndarray of int or bool, shape (Y, X)
        Instance map or mask.
    limits : tuple of float, optional
        See `find_limits`; by default those of this plane.
    colour : tuple of int
        Of the outlines, which are drawn after shrinking so that they stay visible.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        Of the size that `shrink` gives.

    Raises
    ------
    ValueError
        If the planes differ in shape.
    """
    if image_plane.shape[:2] != labels_plane.shape:
        raise ValueError(f"image {image_plane.shape[:2]} and labels {labels_plane.shape} differ in shape")
    picture = shrink(image_plane, limits or find_limits(image_plane))
    larger, smaller = _factors(labels_plane.shape)
    labels = labels_plane[::smaller, ::smaller].repeat(larger, axis=0).repeat(larger, axis=1)
    edge = find_boundaries(labels.astype(np.int64), mode="inner")
    if max(edge.shape) >= THICK_FROM_PX:
        edge = ndimage.binary_dilation(edge)
    picture[edge] = colour
    return picture


def count_objects(labels: np.ndarray) -> int:
    """Number of different labels above 0."""
    largest = int(labels.max(initial=0))
    if largest > MAX_FLAGS:
        return int(np.count_nonzero(np.unique(labels) > 0))
    present = np.zeros(largest + 1, bool)
    present[labels.astype(np.int64).ravel()] = True
    return int(np.count_nonzero(present[1:]))


def summarize(labels: np.ndarray, *, is_instances: bool, num_rows: int | None = None) -> str:
    """What a result holds, in a sentence.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X) or (Z, Y, X)
    is_instances : bool
        Whether every object has a number of its own. Regions of a mask are not called objects: several may touch.
    num_rows : int, optional
        Of the bundle's own table of objects, which counts where the mask does not.

    Returns
    -------
    str
    """
    share = 100 * np.count_nonzero(labels) / max(labels.size, 1)
    place = "volume" if labels.ndim == 3 else "image"
    if is_instances:
        return f"{_number(count_objects(labels), 'object')}, covering {share:.1f} % of the {place}"
    if num_rows is not None:
        return f"{_number(num_rows, 'object')} in the bundle's table; the mask covers {share:.1f} % of the {place}"
    num_regions = ndimage.label(labels > 0)[1]
    return (
        f"The mask covers {share:.1f} % of the {place}, in {_number(num_regions, 'connected region')} "
        "(objects that touch are one region)"
    )


def read_table(path: Path, max_rows: int) -> tuple[list[str], list[list[str]], int]:
    """Header, the first rows, and the number of all rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        rows = list(islice(reader, max_rows))
        return header, rows, len(rows) + sum(1 for _ in reader)


def _factors(shape: tuple[int, ...]) -> tuple[int, int]:
    """By how much a plane is enlarged, and by how much shrunk; one of them is 1."""
    longest = max(shape)
    return max(1, MIN_SIDE_PX // longest), -(-longest // MAX_SIDE_PX)


def _to_bytes(plane: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    low, high = limits
    if plane.dtype == np.uint8 and limits == (0.0, 255.0):
        return plane
    scaled = (np.nan_to_num(plane.astype(np.float32)) - low) * (255 / (high - low))
    return np.clip(scaled, 0, 255).astype(np.uint8)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
