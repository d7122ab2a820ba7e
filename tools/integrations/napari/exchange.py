"""Layers as files that `tools.segment` takes, and its results as layers."""

import csv
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.tables import from_cell
from tools.convert.nifti import write_volume
from tools.corrections import add_correction
from tools.formats.pictures import write_picture
from tools.segment import prompts
from tools.segment.description import Description
from tools.segment.results import STEM, Result, read_mask

__all__ = ["keep_correction", "parse_sizes", "read_result", "write_image", "write_prompts"]


def parse_sizes(text: str, num_axes: int) -> tuple[float, ...] | None:
    """Size of a pixel or voxel in µm, one number for all axes or one for each; None of empty text.

    InputError if it is something else.
    """
    if not text.strip():
        return None
    try:
        sizes = [float(part) for part in text.replace(" ", "").split(",")]
    except ValueError:
        sizes = []
    sizes *= num_axes if len(sizes) == 1 else 1
    if len(sizes) != num_axes or not all(0 < size < np.inf for size in sizes):
        raise InputError(f"{text!r}: expected one number above 0, or {num_axes} of them, in micrometres")
    return tuple(sizes)


def write_image(pixels: np.ndarray, bundle: Description, folder: Path, sizes: tuple[float, ...] | None) -> Path:
    """Write the pixels of a layer as an image that a bundle takes.

    Parameters
    ----------
    pixels : ndarray, shape (Z, Y, X), (Y, X) or (Y, X, 3)
    bundle : Description
    folder : Path
        Exists.
    sizes : tuple of float or None
        Along the axes of space, in µm.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If the bundle takes images of other axes, or needs a size that is not known.
    """
    is_picture = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] == 3)
    if bundle.num_axes == 2:
        if not is_picture:
            raise InputError(f"a layer of shape {pixels.shape}: {bundle.name} takes pictures; choose a slice of it")
        path = folder / "layer.tif"
        write_picture(path, pixels, (None, *(sizes or (None, None))))
        return path
    if pixels.ndim != 3:
        raise InputError(f"a layer of shape {pixels.shape}: {bundle.name} takes gray volumes (Z, Y, X)")
    if sizes is None:
        raise InputError("the layer gives no voxel size; give it, as 2.0, 0.8, 0.8")
    path = folder / "layer.nii.gz"
    write_volume(path, pixels, (sizes[0], sizes[1], sizes[2]))
    return path


def write_prompts(folder: Path, points: Sequence[np.ndarray], corners: Sequence[np.ndarray]) -> dict[str, object]:
    """Write prompts for a bundle that takes them; the overrides with which it reads them.

    Parameters
    ----------
    folder : Path
        Exists.
    points : sequence of ndarray, shape (2,)
        Y and X in pixels.
    corners : sequence of ndarray, shape (k, 2)
        Of each shape, whose bounding box counts.

    Returns
    -------
    dict of str to object
        Empty where there are no prompts.
    """
    if not (points or corners):
        return {}
    prompts.write_prompts(
        folder / f"{STEM}_prompts.tsv",
        points=[_xy(point) for point in points],
        boxes=[[*_xy(shape.min(axis=0)), *_xy(shape.max(axis=0))] for shape in corners],
    )
    return {"prompt_source": "prompts", "prompts_dir": str(folder)}


def keep_correction(
    pixels: np.ndarray,
    labels: np.ndarray,
    bundle: Description,
    dataset_dir: Path,
    sizes: tuple[float, ...] | None,
    name: str,
) -> str:
    """Keep the pixels of a layer and its corrected labels in a dataset to fine-tune on; words for who did so.

    Parameters
    ----------
    pixels, sizes
        As for `write_image`.
    labels : ndarray of int, shape (Z, Y, X) or (Y, X)
    bundle, dataset_dir, name
        As for `add_correction`.

    Raises
    ------
    InputError
        As `write_image` and `add_correction`.
    """
    with tempfile.TemporaryDirectory() as folder:
        image = write_image(pixels, bundle, Path(folder), sizes)
        item = add_correction(dataset_dir, bundle, image, labels, name)
    folder = shlex.quote(str(dataset_dir))
    return f"kept as {item.name}; then: python -m tools finetune {bundle.root.name} --dataset_dir {folder}"


def _xy(place: np.ndarray) -> list[float]:
    return [float(place[1]), float(place[0])]


def read_result(result: Result) -> tuple[np.ndarray, dict[str, list[object]]]:
    """Labels, (Z, Y, X) or (Y, X), and the columns of the table of their objects, the first of which is ``index``."""
    labels = read_mask(result.labels)[0]
    if result.table is None:
        return labels, {}
    with result.table.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    columns = {name: [_value(row[place]) for row in rows] for place, name in enumerate(header)}
    return labels, {"index": [int(row[0]) for row in rows], **{name: columns[name] for name in header[1:]}}


def _value(cell: str) -> object:
    try:
        return float(cell)
    except ValueError:
        return from_cell(cell)
