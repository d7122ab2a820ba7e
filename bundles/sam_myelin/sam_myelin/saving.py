"""What an image's fibres leave on disk: maps, a table of sizes, and a picture to check them by."""

import logging
import math
import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.utils import convert_to_numpy

from .common.files import prepare_output_dir
from .common.labels.drawing import draw_outlines
from .common.labels.saving import write_labels, write_png
from .common.names import stem
from .common.saving import WritesResults
from .common.tables import write_table
from .fibres import AXON_VALUE, MYELIN_VALUE
from .morphometrics import measure_fibres

__all__ = ["SaveFibresd", "draw_overlay"]

logger = logging.getLogger(__name__)

FIBRES_UM = (0.2, 30.0)  # diameters that nerve fibres have, with some to spare
FIBRE_COLOUR, AXON_COLOUR = (255, 0, 255), (0, 220, 0)
LUMINANCE = (0.299, 0.587, 0.114)


def draw_overlay(image: np.ndarray, labels: np.ndarray, axon: np.ndarray) -> np.ndarray:
    """The image in gray with outlines: fibres magenta, axons green.

    Parameters
    ----------
    image : ndarray of float, shape (3, Y, X)
        From 0 to 255.
    labels : ndarray of int, shape (Y, X)
        Fibres, axon and sheath under one label.
    axon : ndarray of bool, shape (Y, X)

    Returns
    -------
    ndarray of uint8, shape (Y, X, 3)
    """
    gray = np.tensordot(np.array(LUMINANCE, np.float32), image, axes=1).round().clip(0, 255).astype(np.uint8)
    layers = (np.where(axon, labels, 0), AXON_COLOUR), (labels, FIBRE_COLOUR)
    return draw_outlines(np.stack([gray] * 3, axis=-1), *layers)


class SaveFibresd(WritesResults):
    """Writes the fibres of an image.

    ``<stem>_fibres.png`` numbers them; ``.tif`` if a number is above 65535. ``<stem>_myelin.png`` is 0 or 255,
    ``<stem>_axonmyelin.png`` 0, 127 for myelin or 255 for axons. ``<stem>_morphometrics.csv`` has a line per fibre, see
    `measure_fibres`; ``<stem>_overlay.png`` shows their outlines in the image.

    Parameters
    ----------
    keys : collection of str
        Fibres (2, Y, X), as `FibreInferer` returns them.
    output_dir : path
        Folder for the results; it is created.
    image_key : str
        The image (3, Y, X), whose metadata tell ``filename_or_obj``, ``original_shape`` and ``pixel_size_um``.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    ValueError
        If the result does not have the image's size.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str | os.PathLike,
        image_key: str = "image",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.output_dir, self.image_key = Path(output_dir), image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        image = data[self.image_key]
        name, shape = stem(image.meta["filename_or_obj"]), tuple(int(side) for side in image.meta["original_shape"])
        prepare_output_dir(self.output_dir)
        for key in self.key_iterator(data):
            labels, axonmyelin = convert_to_numpy(data[key]).astype(np.int32)
            if labels.shape != shape:
                raise ValueError(
                    f"{image.meta['filename_or_obj']}: result {labels.shape}, image {shape}; do not resize"
                )
            self._write(name, convert_to_numpy(image), labels, axonmyelin, float(image.meta["pixel_size_um"]))
            logger.info("wrote the fibres of %s to %s", Path(image.meta["filename_or_obj"]).name, self.output_dir)
        return dict(data)

    def _write(
        self, name: str, image: np.ndarray, labels: np.ndarray, axonmyelin: np.ndarray, pixel_size_um: float
    ) -> None:
        axon, folder = axonmyelin == AXON_VALUE, self.output_dir
        size = None if math.isnan(pixel_size_um) else pixel_size_um
        columns, rows = measure_fibres(labels, axon, pixel_size_um=size)
        if size and rows:
            diameter = columns.index("fibre_diameter_um")
            _tell_size(name, float(np.median([row[diameter] for row in rows])), size)
        write_labels(folder, f"{name}_fibres", labels)
        write_png(folder / f"{name}_myelin.png", (axonmyelin == MYELIN_VALUE) * np.uint8(255))
        write_png(folder / f"{name}_axonmyelin.png", axonmyelin.astype(np.uint8))
        write_table(folder / f"{name}_morphometrics.csv", columns, rows)
        write_png(folder / f"{name}_overlay.png", draw_overlay(image, labels, axon))


def _tell_size(name: str, diameter: float, pixel_size_um: float) -> None:
    """Warn of fibres of a size that no nerve has."""
    if not FIBRES_UM[0] <= diameter <= FIBRES_UM[1]:
        logger.warning(
            "%s: half of its fibres are %s than %.3g um by a pixel size of %g um, nerves have %g to %g um; correct the "
            "pixel size",
            name,
            "larger" if diameter > FIBRES_UM[1] else "smaller",
            diameter,
            pixel_size_um,
            *FIBRES_UM,
        )
