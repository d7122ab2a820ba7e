"""Prompts for Segment Anything: a point inside the axon of each fibre, and the fibre's box."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from scipy import ndimage

from common.tables import format_table

__all__ = ["COLUMNS", "Prompt", "as_tsv", "find_prompts"]


@dataclass(frozen=True)
class Prompt:
    """A fibre in pixels, counted from 0 at the upper left; the last column and row of a box belong to it.

    Attributes
    ----------
    id : int
        Label of the fibre.
    x, y : int
        Column and row of a pixel of its axon: the centroid or, where that lies outside, the pixel deepest inside.
    x_min, y_min, x_max, y_max : int
        Box around axon and sheath.
    axon_px, myelin_px : int
        Areas.
    """

    id: int
    x: int
    y: int
    x_min: int
    y_min: int
    x_max: int
    y_max: int
    axon_px: int
    myelin_px: int


COLUMNS = {
    "id": "Label of the fibre, its axon and its sheath, in *_fibres.png",
    "x": "Column of a pixel inside the axon: its centroid or, where that lies outside, the pixel deepest inside",
    "y": "Row of that pixel",
    "x_min": "First column of the fibre, counted from 0",
    "y_min": "First row of the fibre",
    "x_max": "Last column of the fibre",
    "y_max": "Last row of the fibre",
    "axon_px": "Area of the axon in pixels",
    "myelin_px": "Area of the sheath in pixels",
}


def find_prompts(labels: np.ndarray, axon: np.ndarray) -> list[Prompt]:
    """A prompt for each fibre.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        Fibres, 1 to n without gaps; 0 is background.
    axon : ndarray of bool, shape (Y, X)
        Axons; each fibre has one.

    Returns
    -------
    list of Prompt
        In the order of labels.
    """
    windows = ndimage.find_objects(labels)
    areas = np.bincount(labels.ravel(), minlength=len(windows) + 1)
    prompts = []
    for label, (rows, columns) in enumerate(windows, 1):
        own_axon = (labels[rows, columns] == label) & axon[rows, columns]
        y, x = _inner_point(own_axon)
        axon_px = int(np.count_nonzero(own_axon))
        box = (columns.start, rows.start, columns.stop - 1, rows.stop - 1)
        prompts.append(Prompt(label, columns.start + x, rows.start + y, *box, axon_px, int(areas[label]) - axon_px))
    return prompts


def as_tsv(prompts: Sequence[Prompt]) -> str:
    """A table with a header, tabs between columns; the header alone if there is no prompt."""
    rows = (asdict(prompt).values() for prompt in prompts)
    return format_table([field.name for field in fields(Prompt)], rows, delimiter="\t")


def _inner_point(region: np.ndarray) -> tuple[int, int]:
    """Row and column of a pixel in a region: its centroid, or else the pixel farthest from the outside."""
    rows, columns = np.nonzero(region)
    y, x = round(float(rows.mean())), round(float(columns.mean()))
    if not region[y, x]:
        depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
        y, x = (int(index) for index in np.unravel_index(depth.argmax(), depth.shape))
    return y, x
