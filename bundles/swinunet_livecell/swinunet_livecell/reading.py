"""Gray images and label maps, refused with a reason where they are none."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from PIL import Image

from .common.errors import InputError

__all__ = ["ReadGrayd", "ReadLabelsd", "check_images", "read_gray", "read_labels"]

MAX_LABEL = np.iinfo(np.int32).max
TIFF_COLOURS = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)


def read_gray(path: str | os.PathLike) -> np.ndarray:
    """Read a gray image.

    MONAI's readers turn images on their side, cut 16 bit colours to 8, and take the first page of a TIFF stack without
    a word, so that Pillow and tifffile are used directly.

    Parameters
    ----------
    path : path
        PNG or TIFF: gray, or RGB whose three channels are equal; integers or finite floats.

    Returns
    -------
    ndarray of float32, shape (Y, X)
        Its gray values, unscaled.

    Raises
    ------
    InputError
        If it cannot be read, is truncated, in colour, not a single image, or holds NaN or infinite values.
    """
    pixels = _read(path)
    if pixels.ndim == 3:
        if pixels.shape[-1] != 3 or (pixels != pixels[..., :1]).any():
            raise InputError(
                f"{path}: {pixels.shape[-1]} channels that differ, expected a gray image; phase contrast has no "
                "colours, export the raw image"
            )
        pixels = pixels[..., 0]
    if pixels.dtype.kind not in "uif":
        raise InputError(f"{path}: pixels of type {pixels.dtype}, expected gray values; export 8 or 16 bit gray")
    pixels = pixels.astype(np.float32)
    if not np.isfinite(pixels).all():
        raise InputError(f"{path}: NaN or infinite gray values, expected finite ones; export 8 or 16 bit gray")
    return pixels


def read_labels(path: str | os.PathLike) -> np.ndarray:
    """Read a label map.

    Parameters
    ----------
    path : path
        PNG or TIFF of integers: 0 is background, every other number an object.

    Returns
    -------
    ndarray of int32, shape (Y, X)

    Raises
    ------
    InputError
        If it cannot be read, is truncated, has several channels, or holds anything but integers from 0.
    """
    pixels = _read(path)
    if pixels.ndim == 3:
        raise InputError(f"{path}: {pixels.shape[-1]} channels in a label map, expected one; export labels, no overlay")
    if pixels.dtype.kind not in "uib":
        raise InputError(f"{path}: labels of type {pixels.dtype}, expected integers; save the label map as 16 bit")
    if pixels.min() < 0 or pixels.max() > MAX_LABEL:
        raise InputError(
            f"{path}: labels from {pixels.min()} to {pixels.max()}, expected 0 to {MAX_LABEL}; number the objects anew"
        )
    return pixels.astype(np.int32)


def check_images(items: Sequence[Mapping[str, Any]]) -> None:
    """Read every image, so that one that cannot be read stops a long run before it begins, not in the middle.

    Parameters
    ----------
    items : sequence of mapping
        Each with the path of an image under ``image``.

    Raises
    ------
    InputError
        If any of them is refused by `read_gray`; it names all of those.
    """
    problems = []
    for item in items:
        try:
            read_gray(item["image"])
        except InputError as error:
            problems.append(str(error))
    if len(problems) == len(items) == 1:
        raise InputError(problems[0])
    if problems:
        raise InputError(
            f"{len(problems)} of {len(items)} images cannot be segmented, so none was: {'; '.join(problems)}; "
            "mend them or move them out of the folder"
        )


class ReadGrayd(MapTransform):
    """Reads gray images as MetaTensors (1, Y, X) of float32, with ``filename_or_obj`` and ``original_shape`` (Y, X).

    Raises
    ------
    InputError
        As `read_gray`.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        for key in self.key_iterator(data):
            data[key] = _to_tensor(read_gray(data[key]), data[key])
        return data


class ReadLabelsd(MapTransform):
    """Reads label maps as MetaTensors (1, Y, X) of int32, to be used after `ReadGrayd`.

    Parameters
    ----------
    keys : collection of str
        Paths of label maps.
    image_key : str
        The image that they belong to.

    Raises
    ------
    InputError
        As `read_labels`, or if its size differs from that of its image.
    """

    def __init__(self, keys: KeysCollection, image_key: str = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        height, width = data[self.image_key].meta["original_shape"]
        for key in self.key_iterator(data):
            labels = read_labels(data[key])
            if labels.shape != (height, width):
                raise InputError(
                    f"{data[key]}: {labels.shape[1]} x {labels.shape[0]} pixels (width x height), its image "
                    f"{data[self.image_key].meta['filename_or_obj']} has {width} x {height}; convert the data again"
                )
            data[key] = _to_tensor(labels, data[key])
        return data


def _to_tensor(pixels: np.ndarray, path: Any) -> MetaTensor:
    meta = {"filename_or_obj": str(path), "original_shape": pixels.shape}
    return MetaTensor(torch.from_numpy(pixels)[None], meta=meta)


def _read(path: str | os.PathLike) -> np.ndarray:
    """Pixels (Y, X), or (Y, X, C), of the only image in a file, in the file's own type."""
    try:
        pixels = _read_tiff(path) if Path(path).suffix.lower() in (".tif", ".tiff") else _read_other(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; convert the data again") from error
    except InputError:
        raise
    except Exception as error:  # a broken file makes the decoders raise almost anything
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read ({reason}); it may be damaged, copy or export it again") from error
    return pixels


def _read_tiff(path: str | os.PathLike) -> np.ndarray:
    with tifffile.TiffFile(path) as file:
        if len(file.pages) != 1:
            raise InputError(f"{path}: {len(file.pages)} pages, expected one image; export each as a file of its own")
        page = file.pages[0]
        if page.photometric not in TIFF_COLOURS:
            raise InputError(f"{path}: {page.photometric.name} pixels, expected gray from black to white; export gray")
        ends = [start + size for start, size in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if max(ends) > file.filehandle.size:
            raise InputError(f"{path}: truncated, {file.filehandle.size} of {max(ends)} bytes; copy it again")
        pixels = page.asarray()
        return np.moveaxis(pixels, 0, -1) if page.axes == "SYX" else pixels


def _read_other(path: str | os.PathLike) -> np.ndarray:
    with Image.open(path) as image:
        if image.mode in ("P", "PA", "1"):
            raise InputError(
                f"{path}: palette or one bit pixels ({image.mode}), expected gray; export 8 or 16 bit gray"
            )
        if image.mode.startswith("RGB") and any("16" in str(tile.args) for tile in image.tile):
            raise InputError(f"{path}: colours of 16 bit, which Pillow cuts to 8; export 16 bit gray")
        return np.asarray(image)
