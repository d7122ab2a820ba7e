"""What a slide's segmentation leaves on disk: mask, polygons, table, picture and run lengths."""

import json
import logging
import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.utils import convert_to_numpy
from PIL import Image

from .common.files import prepare_output_dir, replacing, write_text
from .common.names import stem
from .common.reading.slides import open_slide
from .common.saving import WritesResults
from .common.tables import write_table
from .common.tiled_tiff import write_tiled
from .crypts import Crypt, geometry, paint
from .outlines import feature_collection
from .reading import read_scaled
from .run_lengths import encode_crypts, put_run_lengths
from .tables import measure_crypts
from .thumbnail import draw_thumbnail

__all__ = ["SaveCryptsd", "write_crypts", "write_mask", "write_probability"]

logger = logging.getLogger(__name__)

PLACE_DIGITS = 8  # a slide has more than 100000 pixels along an axis
PICTURE_PX = 1500  # longest side of a picture, about; crypts are hard to judge in smaller ones


def write_mask(path: Path, crypts: Sequence[Crypt], shape: tuple[int, int], pixel_size_um: float | None = None) -> None:
    """Write the crypts' mask, 0 and 255, as tiled TIFF, painted a row of tiles at a time.

    Parameters
    ----------
    path : Path
        File to write or replace.
    crypts : sequence of Crypt
        In slide pixels.
    shape : tuple of int
        Shape (Y, X) of the slide.
    pixel_size_um : float, optional
        For the resolution tags.
    """
    with replacing(path) as partial:
        write_tiled(
            partial,
            lambda top, bottom: paint(crypts, top, 0, bottom - top, shape[1]).view(np.uint8) * np.uint8(255),
            shape,
            np.uint8,
            pixel_size_um=pixel_size_um,
        )


def write_probability(path: Path, probability: np.ndarray, pixel_size_um: float | None = None) -> None:
    """Write a probability (h, w) as tiled TIFF, 0 to 255 for 0 to 1; the size is that of its own pixels."""

    def rows(top: int, bottom: int) -> np.ndarray:
        return (probability[top:bottom].clip(0, 1) * 255).round().astype(np.uint8)

    with replacing(path) as partial:
        write_tiled(partial, rows, probability.shape, np.uint8, pixel_size_um=pixel_size_um)


def write_crypts(
    output_dir: Path,
    name: str,
    image: np.ndarray,
    crypts: Sequence[Crypt],
    slide_shape: tuple[int, int],
    downsample: int,
    pixel_size_um: float | None = None,
) -> None:
    """Write all that is made of a slide's crypts, each file whole or not at all, and the picture last.

    A slide that has its picture is finished, its row in rle.csv included. Files are ``<name>_mask.tiff``,
    ``_crypts.geojson``, ``_crypts.csv``, ``_overlay.png``, and rle.csv; InputError if there is an rle.csv that is none.

    Parameters
    ----------
    output_dir : Path
    name : str
        The slide's.
    image : ndarray of uint8, shape (h, w, 3)
        The slide, shrunk, for the picture.
    crypts : sequence of Crypt
    slide_shape : tuple of int
        (Y, X) at full resolution.
    downsample : int
        Slide pixels per pixel of ``image``.
    pixel_size_um : float, optional
        µm per slide pixel.
    """
    write_mask(output_dir / f"{name}_mask.tiff", crypts, slide_shape, pixel_size_um)
    write_text(output_dir / f"{name}_crypts.geojson", json.dumps(feature_collection(crypts, name)))
    write_table(output_dir / f"{name}_crypts.csv", *measure_crypts(crypts, pixel_size_um), digits=PLACE_DIGITS)
    put_run_lengths(output_dir / "rle.csv", name, encode_crypts(crypts, slide_shape))
    with replacing(output_dir / f"{name}_overlay.png") as partial:
        Image.fromarray(draw_thumbnail(image, crypts, downsample)).save(partial, format="PNG")


class SaveCryptsd(WritesResults):
    """Writes the crypts that `FindCryptsd` found in every form that others read; see `write_crypts`.

    Parameters
    ----------
    keys : collection of str
        Probabilities (C, h, w) at the working resolution: of crypts and, perhaps, of their cores.
    output_dir : path
        Folder for the results; it is created.
    image_key : str
        The slide at the working resolution, uint8 (3, h, w), whose metadata tell ``filename_or_obj``,
        ``slide_shape``, ``downsample`` and ``pixel_size_um`` (0 for unknown).
    crypts_key : str
        The crypts.
    save_probability : bool
        Whether to write ``<name>_prob.tiff``, 0 to 255 at the working resolution.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str | os.PathLike,
        image_key: str = "image",
        crypts_key: str = "crypts",
        save_probability: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.output_dir, self.image_key, self.save_probability = Path(output_dir), image_key, save_probability
        self.crypts_key = crypts_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        image = data[self.image_key]
        shape, downsample = geometry(image)
        source, size = image.meta["filename_or_obj"], float(image.meta.get("pixel_size_um") or 0) or None
        name = stem(source)
        picture, factor = _picture(source, convert_to_numpy(image).transpose(1, 2, 0), shape, downsample)
        prepare_output_dir(self.output_dir)
        for key in self.key_iterator(data):
            crypts = data[self.crypts_key]
            if self.save_probability:
                path = self.output_dir / f"{name}_prob.tiff"
                write_probability(path, convert_to_numpy(data[key])[0], size and size * downsample)
            write_crypts(self.output_dir, name, picture, crypts, shape, factor, size)
            logger.info("wrote %d crypts of %s to %s", len(crypts), Path(source).name, self.output_dir)
        return dict(data)


def _picture(source: str, image: np.ndarray, slide_shape: tuple[int, int], downsample: int) -> tuple[np.ndarray, int]:
    """The slide to draw on, and slide pixels per pixel of it: read again where the network saw only a small one."""
    factor = -(-max(slide_shape) // PICTURE_PX)
    if factor >= downsample or not Path(source).is_file():
        return image, downsample
    with open_slide(Path(source)) as slide:
        return read_scaled(slide, factor), factor
