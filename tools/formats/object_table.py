"""Place and size of every object as CSV, in micrometres where they are known."""

import math
from pathlib import Path

import numpy as np
from scipy import ndimage

from common.tables import write_table
from tools.formats.saving import About

__all__ = ["measure", "write"]


def write(path: Path, labels: np.ndarray, about: About) -> None:
    """Write a row for each object: its number, its centre, its area or volume and the diameter of as large a ball."""
    write_table(path, *measure(labels, about))


def measure(labels: np.ndarray, about: About) -> tuple[list[str], list[list[object]]]:
    """Columns and rows of the table; lengths are in pixels (``_px``) unless all sizes are known (``_um``).

    Centres are measured from the middle of the first pixel, as in the bundles' own tables.
    """
    axes = "zyx"[-labels.ndim :]
    sizes = about.spacing[-labels.ndim :]
    known = [size for size in sizes if size is not None]
    unit, step = ("um", known) if len(known) == labels.ndim else ("px", [1.0] * labels.ndim)
    counts = np.bincount(labels.ravel())
    numbers = np.flatnonzero(counts[1:]) + 1
    centres = np.zeros((len(numbers), labels.ndim))
    boxes = ndimage.find_objects(labels)
    for row, number in enumerate(numbers.tolist()):
        box = boxes[number - 1]
        inside = np.argwhere(labels[box] == number)
        centres[row] = inside.mean(axis=0) + [side.start for side in box]
    extents = counts[numbers] * math.prod(step)
    what, power = ("area", 2) if labels.ndim == 2 else ("volume", 3)
    diameters = 2 * np.sqrt(extents / math.pi) if power == 2 else 2 * np.cbrt(extents * 3 / (4 * math.pi))
    columns = ["id", *(f"{axis}_{unit}" for axis in axes), f"{what}_{unit}{power}", f"diameter_{unit}"]
    rows: list[list[object]] = [
        [number, *(centre * step).tolist(), extent, diameter]
        for number, centre, extent, diameter in zip(
            numbers.tolist(), centres, extents.tolist(), diameters.tolist(), strict=True
        )
    ]
    return columns, rows
