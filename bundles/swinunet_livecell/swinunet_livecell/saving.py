"""What an image's segmentation leaves on disk: mask, probability and single cells."""

from __future__ import annotations

import logging
import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_numpy

from .common.files import prepare_output_dir
from .common.labels.saving import MAX_PNG_LABEL, write_labels, write_png
from .common.names import stem
from .instances import split_cells

__all__ = ["SaveMaskd", "write_mask", "write_probability"]

logger = logging.getLogger(__name__)


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a mask (Y, X) as PNG, 0 for background and 255 for cells."""
    write_png(path, mask.astype(bool).astype(np.uint8) * np.uint8(255))


def write_probability(path: Path, probability: np.ndarray) -> None:
    """Write a probability (Y, X) as 16 bit PNG, 0 to 65535 for 0 to 1."""
    scaled = probability.astype(np.float64).clip(0, 1) * MAX_PNG_LABEL
    write_png(path, scaled.round().astype(np.uint16))


class SaveMaskd(MapTransform):
    """Writes the mask of an image as ``<stem>_mask.png`` and, if wanted, what it was made from and is made of.

    Parameters
    ----------
    keys : collection of str
        Probabilities (1, Y, X) at the image's original size.
    output_dir : path
        Folder for the results; it is created.
    image_key : str
        The image, whose metadata tell ``filename_or_obj`` and ``original_shape``.
    threshold : float
        Cells are where the probability is at least this.
    save_probability : bool
        Whether to write ``<stem>_prob.png``, 0 to 65535.
    save_instances : bool
        Whether to write ``<stem>_instances.png``, cells numbered from 1; ``.tif`` if they are more than 65535.
    min_area, min_distance, min_depth : float
        As for `split_cells`; only for the instances.

    Raises
    ------
    InputError
        If the folder cannot be written to.
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
        save_instances: bool = False,
        min_area: float = 30,
        min_distance: float = 10,
        min_depth: float = 2,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.output_dir, self.image_key, self.threshold = Path(output_dir), image_key, threshold
        self.save_probability, self.save_instances = save_probability, save_instances
        self.min_area, self.min_distance, self.min_depth = min_area, min_distance, min_depth

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
            if self.save_probability:
                write_probability(self.output_dir / f"{name}_prob.png", probability)
            if self.save_instances:
                cells = split_cells(probability, self.threshold, self.min_area, self.min_distance, self.min_depth)
                write_labels(self.output_dir, f"{name}_instances", cells)
            write_mask(self.output_dir / f"{name}_mask.png", probability >= self.threshold)
            logger.info("wrote the mask of %s to %s", Path(meta["filename_or_obj"]).name, self.output_dir)
        return dict(data)
