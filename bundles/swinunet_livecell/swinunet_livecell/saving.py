"""What an image's segmentation leaves on disk: mask, probability, single cells and their tables."""

import logging
import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.utils import convert_to_numpy

from .common.files import prepare_output_dir
from .common.labels.saving import MAX_PNG_LABEL, write_labels, write_png
from .common.names import stem
from .common.reading.pictures import read_gray
from .common.saving import WritesResults
from .common.tables import put_row, write_table
from .tables import COLUMNS, SUMMARY_COLUMNS, UM_COLUMNS, measure_cells, summarize

__all__ = ["SaveCellsd", "write_mask", "write_probability"]

logger = logging.getLogger(__name__)

FAR = 5  # times as large, or as small, as a usual cell: more than kinds of cells and their spreading differ by


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a mask (Y, X) as PNG, 0 for background and 255 for cells."""
    write_png(path, mask.astype(bool).astype(np.uint8) * np.uint8(255))


def write_probability(path: Path, probability: np.ndarray) -> None:
    """Write a probability (Y, X) as 16 bit PNG, 0 to 65535 for 0 to 1."""
    scaled = probability.astype(np.float64).clip(0, 1) * MAX_PNG_LABEL
    write_png(path, scaled.round().astype(np.uint16))


class SaveCellsd(WritesResults):
    """Writes the mask of an image as ``<stem>_mask.png``, and its cells: numbered, and in tables.

    Parameters
    ----------
    keys : collection of str
        Probabilities (3, Y, X) at the image's original size, the first that of cells.
    output_dir : path
        Folder for the results; it is created.
    image_key : str
        The image, whose metadata tell ``filename_or_obj`` and ``original_shape``.
    threshold : float
        Cells are where the probability is at least this.
    save_probability : bool
        Whether to write ``<stem>_prob.png``, 0 to 65535.
    save_instances : bool
        Whether to write ``<stem>_instances.png``, cells numbered from 1 (``.tif`` if they are more than 65535),
        ``<stem>_cells.csv``, a line for each, and a line for the image in ``summary.csv``.
    pixel_size_um : float or "none"
        Side of a pixel in micrometres, where it is known: sizes are written in micrometres then, too.
    trained_area : float
        Area of a usual cell that the network has learned from, in pixels of the image before it was brought to another
        scale. Where cells come out far from it, a warning says so: the image has another magnification.
    cells_key, scores_key : str
        What `FindCellsd` found, for the instances.

    Raises
    ------
    InputError
        If the folder cannot be written to, or holds a summary.csv that is none.
    ValueError
        If the probability does not have the image's original size.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str | os.PathLike,
        image_key: str = "image",
        threshold: float = 0.5,
        save_probability: bool = False,
        save_instances: bool = True,
        pixel_size_um: float | str = "none",
        trained_area: float = 0,
        cells_key: str = "cells",
        scores_key: str = "scores",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.output_dir, self.image_key, self.threshold = Path(output_dir), image_key, threshold
        self.save_probability, self.save_instances = save_probability, save_instances
        self.pixel_um = None if pixel_size_um == "none" else float(pixel_size_um)
        self.trained_area = trained_area
        self.cells_key, self.scores_key = cells_key, scores_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        meta = data[self.image_key].meta
        name, shape = stem(meta["filename_or_obj"]), tuple(int(size) for size in meta["original_shape"])
        prepare_output_dir(self.output_dir)
        for key in self.key_iterator(data):
            probability = convert_to_numpy(data[key])[0]
            if probability.shape != shape:
                raise ValueError(
                    f"{meta['filename_or_obj']}: result {probability.shape}, image {shape}; undo all resizing first"
                )
            mask = probability >= self.threshold
            if self.save_probability:
                write_probability(self.output_dir / f"{name}_prob.png", probability)
            if self.save_instances:
                cells = convert_to_numpy(data[self.cells_key])[0]
                self._write_cells(name, meta["filename_or_obj"], cells, convert_to_numpy(data[self.scores_key]))
                self._warn_of_size(meta["filename_or_obj"], cells)
                summary = summarize(name, cells, mask, self.pixel_um)
                put_row(self.output_dir / "summary.csv", SUMMARY_COLUMNS, summary, thing="image")
            write_mask(self.output_dir / f"{name}_mask.png", mask)
            if not mask.any():
                logger.warning(
                    "%s: no cell found; look at the image, or give a smaller --threshold", meta["filename_or_obj"]
                )
            logger.info("wrote the mask of %s to %s", Path(meta["filename_or_obj"]).name, self.output_dir)
        return dict(data)

    def _write_cells(self, name: str, source: str, cells: np.ndarray, scores: np.ndarray) -> None:
        write_labels(self.output_dir, f"{name}_instances", cells)
        rows = measure_cells(cells, read_gray(source).astype(np.float64), scores, self.pixel_um)
        columns = COLUMNS if self.pixel_um is None else COLUMNS + UM_COLUMNS
        write_table(self.output_dir / f"{name}_cells.csv", columns, rows)

    def _warn_of_size(self, source: str, cells: np.ndarray) -> None:
        areas = np.bincount(cells.ravel())[1:]
        if not (self.trained_area and areas.size):
            return
        usual = float(np.median(areas))
        if not 1 / FAR < usual / self.trained_area < FAR:
            logger.warning(
                "%s: half of the cells have less than %.0f pixels, the network expects cells of %.0f: another "
                "magnification? Give the diameter of your cells in pixels as --cell_diameter, and look at the result",
                source,
                usual,
                self.trained_area,
            )
