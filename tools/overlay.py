"""Pictures to judge a result by: image, truth and prediction, slice by slice."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from fire.decorators import SetParseFns
from PIL import Image
from skimage.segmentation import find_boundaries

from tools.atomic import replacing
from tools.command_line import reject
from tools.errors import InputError

__all__ = ["draw_overlay", "overlay", "write_overlay"]

TRUTH_COLOUR, RESULT_COLOUR = (0, 220, 0), (255, 0, 255)
NUM_SLICES, ENLARGEMENT, GAP_PX = 4, 3, 4


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
    columns = [_column(gray[z], result[z], None if labels is None else labels[z]) for z in slices]
    columns.append(_column(gray.max(0), result.max(0), None if labels is None else labels.max(0)))
    gap = np.full((columns[0].shape[0], GAP_PX, 3), 255, np.uint8)
    return np.concatenate([piece for column in columns for piece in (column, gap)][:-1], axis=1)


def write_overlay(path: Path, image: np.ndarray, result: np.ndarray, labels: np.ndarray | None = None) -> None:
    """Write `draw_overlay`'s picture as PNG."""
    with replacing(path) as partial:
        Image.fromarray(draw_overlay(image, result, labels)).save(partial, format="PNG")


@SetParseFns(image=str, result=str, destination=str, label=str)
def overlay(image: str, result: str, destination: str, *extra, label: str = "", **unknown) -> dict[str, object]:
    """Draw a result (and the truth) over slices of its volume and over the maximum projection, as PNG.

    Parameters
    ----------
    image, result : str
        NIfTI files on one grid: the volume, and its mask or instance map (magenta outlines).
    destination : str
        The PNG to write.
    label : str
        NIfTI file of the truth (green outlines; white where both agree).
    """
    reject(unknown, overlay, extra)
    names = [name for name in (image, result, label) if name]
    volumes = [_read(Path(name)) for name in names]
    for name, volume in zip(names, volumes, strict=True):
        if volume.shape != volumes[0].shape:
            raise InputError(f"{name}: shape {volume.shape}, its image {volumes[0].shape}; give files of one grid")
    write_overlay(Path(destination), *volumes)
    return {"picture": destination}


def _read(path: Path) -> np.ndarray:
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a NIfTI volume")
    volume = np.asanyarray(nib.load(path).dataobj).T
    if volume.ndim != 3:
        raise InputError(f"{path}: {volume.ndim} dimensions, expected a volume of three")
    return volume


def _to_gray(image: np.ndarray) -> np.ndarray:
    low, high = np.percentile(image, [50, 99.8])
    return (np.clip((image - low) / max(high - low, 1e-6), 0, 1) ** 0.6 * 255).astype(np.uint8)


def _column(gray: np.ndarray, result: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    plain = _enlarge(np.stack([gray] * 3, axis=-1))
    outlined = plain.copy()
    result_edge = find_boundaries(_enlarge(result).astype(int), mode="inner")
    outlined[result_edge] = RESULT_COLOUR
    if labels is not None:
        label_edge = find_boundaries(_enlarge(labels).astype(int), mode="inner")
        outlined[label_edge] = TRUTH_COLOUR
        outlined[label_edge & result_edge] = 255
    gap = np.full((GAP_PX, plain.shape[1], 3), 255, np.uint8)
    return np.concatenate([plain, gap, outlined], axis=0)


def _enlarge(array: np.ndarray) -> np.ndarray:
    return array.repeat(ENLARGEMENT, axis=0).repeat(ENLARGEMENT, axis=1)
