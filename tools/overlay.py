"""Pictures to judge a result by: image, truth and prediction, for volumes slice by slice."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import tifffile
from fire.decorators import SetParseFns
from PIL import Image
from scipy.ndimage import binary_dilation
from skimage.segmentation import find_boundaries
from skimage.transform import downscale_local_mean

from tools.atomic import replacing
from tools.command_line import reject
from tools.errors import InputError

__all__ = ["draw_overlay", "draw_plane_overlay", "overlay", "write_overlay"]

TRUTH_COLOUR, RESULT_COLOUR = (0, 220, 0), (255, 0, 255)
NUM_SLICES, ENLARGEMENT, GAP_PX = 4, 3, 4
MAX_PLANE_PX = 1600


def draw_overlay(image: np.ndarray, result: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """Image above, image with outlines below, for slices spread over the objects' depth and for the whole volume.

    Parameters
    ----------
    image : ndarray, shape (Z, Y, X)
        Intensities.
    result : ndarray of int or bool, shape (Z, Y, X)
        Mask or instance map, outlined in magenta.
    labels : ndarray of int or bool, shape (Z, Y, X), optional
        Truth, outlined in green; where both outlines meet they are white.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        The last column is the maximum intensity projection along Z.
    """
    if labels is not None and result.max() <= 1:
        labels = labels > 0  # a mask says nothing about borders between touching objects
    depth = np.flatnonzero((result if labels is None else labels).any(axis=(1, 2)))
    first, last = (depth[0], depth[-1]) if depth.size else (0, len(image) - 1)
    slices = np.unique(np.linspace(first, last, NUM_SLICES + 2)[1:-1].round().astype(int))
    gray = _to_gray(image)
    planes = [(gray[z], result[z], None if labels is None else labels[z]) for z in slices]
    planes.append((gray.max(0), result.max(0), None if labels is None else labels.max(0)))
    columns = [
        _column(np.stack([_enlarge(plane)] * 3, axis=-1), *(None if part is None else _enlarge(part) for part in parts))
        for plane, *parts in planes
    ]
    gap = np.full((columns[0].shape[0], GAP_PX, 3), 255, np.uint8)
    return np.concatenate([piece for column in columns for piece in (column, gap)][:-1], axis=1)


def draw_plane_overlay(image: np.ndarray, result: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """Image, and beside it the image with outlines; shrunk by a whole factor where it is large.

    Parameters
    ----------
    image : ndarray of uint8, shape (Y, X) or (Y, X, 3)
        Gray or RGB.
    result : ndarray of int or bool, shape (Y, X)
        Mask or instance map, outlined in magenta.
    labels : ndarray of int or bool, shape (Y, X), optional
        Truth, outlined in green; where both outlines meet they are white.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        Neither image in it is larger than 1600 pixels along an axis.
    """
    if labels is not None and len(np.unique(result)) <= 2:
        labels = labels > 0
    factor = max(1, -(-max(image.shape[:2]) // MAX_PLANE_PX))
    colours = image if image.ndim == 3 else np.stack([_to_gray(image, low=0.5, gamma=1.0)] * 3, axis=-1)
    filled = np.pad(colours, [(0, -size % factor) for size in colours.shape[:2]] + [(0, 0)], mode="edge")
    plain = downscale_local_mean(filled, (factor, factor, 1)).round().astype(np.uint8)
    maps = [None if array is None else array[::factor, ::factor] for array in (result, labels)]
    return _column(plain, *maps, axis=1, thickness=2)


def write_overlay(path: Path, image: np.ndarray, result: np.ndarray, labels: np.ndarray | None = None) -> None:
    """Write the picture of `draw_overlay`, or for a single plane of `draw_plane_overlay`, as PNG."""
    draw = draw_overlay if result.ndim == 3 else draw_plane_overlay
    with replacing(path) as partial:
        Image.fromarray(draw(image, result, labels)).save(partial, format="PNG")


@SetParseFns(image=str, result=str, destination=str, label=str)
def overlay(image: str, result: str, destination: str, *extra, label: str = "", **unknown) -> dict[str, object]:
    """Draw a result (and the truth) over its image, as PNG; of a volume slices and the maximum projection.

    Parameters
    ----------
    image, result : str
        Files on one grid: the image, and its mask or instance map (magenta outlines). NIfTI for volumes; TIFF or PNG,
        gray or RGB, for planes.
    destination : str
        The PNG to write.
    label : str
        File of the truth (green outlines; white where both agree).
    """
    reject(unknown, overlay, extra)
    names = [name for name in (image, result, label) if name]
    arrays = [_read(Path(name)) for name in names]
    grid = arrays[0].shape[:2] if _is_rgb(arrays[0]) else arrays[0].shape
    for name, array in zip(names[1:], arrays[1:], strict=True):
        if array.shape != grid:
            raise InputError(f"{name}: shape {array.shape}, its image {grid}; give files of one grid")
    write_overlay(Path(destination), *arrays)
    return {"picture": destination}


def _read(path: Path) -> np.ndarray:
    """Volume (Z, Y, X), or plane (Y, X) or (Y, X, 3)."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; give an image")
    if path.name.endswith((".nii", ".nii.gz")):
        volume = np.asanyarray(nib.load(path).dataobj).T
        if volume.ndim != 3:
            raise InputError(f"{path}: {volume.ndim} dimensions, expected a volume of three")
        return volume
    try:
        plane = tifffile.imread(path) if path.suffix.lower() in (".tif", ".tiff") else np.asarray(Image.open(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give NIfTI, TIFF or PNG") from error
    if plane.ndim != 2 and not _is_rgb(plane):
        raise InputError(f"{path}: shape {plane.shape}, expected a gray or RGB plane; volumes come as NIfTI")
    return plane


def _is_rgb(array: np.ndarray) -> bool:
    return array.ndim == 3 and array.shape[-1] == 3 and array.dtype == np.uint8


def _to_gray(image: np.ndarray, low: float = 50, gamma: float = 0.6) -> np.ndarray:
    """Gray values from a percentile up; by default fluorescence, whose background, half of the image, is black."""
    darkest, brightest = np.percentile(image, [low, 99.8])
    scaled = (image - darkest) / max(brightest - darkest, 1e-6)
    return (np.clip(scaled, 0, 1) ** gamma * 255).astype(np.uint8)


def _column(
    picture: np.ndarray,
    result: np.ndarray,
    labels: np.ndarray | None,
    *,
    axis: int = 0,
    thickness: int = 1,
) -> np.ndarray:
    """A picture (Y, X, 3), and below (axis 0) or beside it (axis 1) the same with outlines."""
    outlined = picture.copy()
    result_edge = _edge(result, thickness)
    outlined[result_edge] = RESULT_COLOUR
    if labels is not None:
        label_edge = _edge(labels, thickness)
        outlined[label_edge] = TRUTH_COLOUR
        outlined[label_edge & result_edge] = 255
    gap = np.full((GAP_PX, picture.shape[1], 3) if axis == 0 else (len(picture), GAP_PX, 3), 255, np.uint8)
    return np.concatenate([picture, gap, outlined], axis=axis)


def _edge(labels: np.ndarray, thickness: int) -> np.ndarray:
    """Outermost pixels of every object."""
    edge = find_boundaries(labels.astype(int), mode="inner")
    return edge if thickness == 1 else binary_dilation(edge, iterations=thickness - 1)


def _enlarge(array: np.ndarray) -> np.ndarray:
    return array.repeat(ENLARGEMENT, axis=0).repeat(ENLARGEMENT, axis=1)
