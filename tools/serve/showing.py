"""A result while the page shows it: its files in a folder of their own, its planes ready to be drawn."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.serve.jobs import Result
from tools.serve.pictures import find_limits, outline, plane_of, read_array, read_table, shrink, summarize

__all__ = ["Shown", "Table", "show"]

MAX_ROWS = 200
UNNUMBERED = "mask"  # kind of results whose objects have no numbers
NUMBERED = "instances"  # kind that is drawn, where it is there, instead of a mask


@dataclass(frozen=True)
class Table:
    """The first rows of a bundle's table, and how many there are."""

    path: Path
    header: list[str]
    rows: list[list[str]]
    num_rows: int


@dataclass(frozen=True)
class Shown:
    """What the page keeps of a result.

    Attributes
    ----------
    folder : Path
        Holds all files; `remove` removes it.
    image, labels : Path
        Arrays (``.npy``) on one grid.
    limits : tuple of float
        Of the contrast, one for all planes.
    num_planes : int
        0 for an image of two axes.
    summary : str
        What was found.
    mask : Path
        As the bundle wrote it.
    table : Table or None
    """

    folder: Path
    image: Path
    labels: Path
    limits: tuple[float, float]
    num_planes: int
    summary: str
    mask: Path
    table: Table | None = None

    def draw(self, z: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """The image, and beside it the image with outlines; of a volume those of a plane."""
        if self.num_planes:
            image, labels = plane_of(self.image, z), plane_of(self.labels, z)
        else:
            image, labels = (np.load(path, mmap_mode="r") for path in (self.image, self.labels))
        return shrink(image, self.limits), outline(image, labels, self.limits)

    def remove(self) -> None:
        """Remove the folder; nothing is wrong if it is gone."""
        shutil.rmtree(self.folder, ignore_errors=True)


def show(result: Result, folder: Path, kind: str) -> Shown:
    """Make a result ready to be drawn.

    Parameters
    ----------
    result : Result
    folder : Path
        Of the job; the arrays are written there.
    kind : str
        Of the result's mask. Where the bundle also wrote instances, these are drawn and counted.

    Returns
    -------
    Shown

    Raises
    ------
    ValueError
        If image and mask are on different grids.
    """
    kind, path = (NUMBERED, result.files[NUMBERED]) if NUMBERED in result.files else (kind, result.mask)
    image, labels = read_array(result.image), read_array(path)
    num_planes = len(labels) if labels.ndim == 3 else 0
    grid = image.shape if num_planes else image.shape[:2]
    if grid != labels.shape:
        raise ValueError(f"{path.name}: shape {labels.shape}, its image {grid}")
    table = _find_table(result)
    arrays = folder / "image.npy", folder / "labels.npy"
    for target, array in zip(arrays, (image, labels), strict=True):
        np.save(target, np.ascontiguousarray(array))
    return Shown(
        folder=folder,
        image=arrays[0],
        labels=arrays[1],
        limits=find_limits(image),
        num_planes=num_planes,
        summary=summarize(labels, is_instances=kind != UNNUMBERED, num_rows=table and table.num_rows),
        mask=result.mask,
        table=table,
    )


def _find_table(result: Result) -> Table | None:
    paths = sorted(path for path in result.files.values() if path.suffix == ".csv")
    return Table(paths[0], *read_table(paths[0], MAX_ROWS)) if paths else None
