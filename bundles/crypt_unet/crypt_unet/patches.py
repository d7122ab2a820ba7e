"""The patches of a slide that an evaluation scores."""

import csv
import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from .common.datalist import read_dataset
from .common.errors import InputError

__all__ = ["ReadPatchIndexd", "read_patch_index"]

DEFAULT_PATCH_SIZE = 512


def read_patch_index(path: str | os.PathLike) -> np.ndarray:
    """Patches of one slide, as `tools convert crypts` writes them.

    Parameters
    ----------
    path : path
        CSV with the columns y, x, annotated.

    Returns
    -------
    ndarray of int64, shape (n, 3)
        Row and column of the upper left corner in slide pixels, and whether the patch holds an annotation (0 or 1).

    Raises
    ------
    InputError
        If it is not such a file.
    """
    try:
        with Path(path).open(newline="") as file:
            header, *rows = csv.reader(file)
        if header != ["y", "x", "annotated"]:
            raise ValueError(f"columns {','.join(header)}")
        return np.array(rows, np.int64).reshape(-1, 3)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no patch index ({error}), expected y,x,annotated; convert the data again") from error


class ReadPatchIndexd(MapTransform):
    """Replaces the path of a patch index by its corners, a tensor (n, 2), and adds their size as ``patch_size``.

    An item without the path, as MONAI Label makes them, has no patches; with ``allow_missing_keys``.
    """

    def __init__(self, keys: KeysCollection, dataset_dir: str | os.PathLike, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.dataset_dir = dataset_dir

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        known = list(self.key_iterator(data))
        for key in self.keys:
            corners = read_patch_index(data[key]) if key in known else np.zeros((0, 3), np.int64)
            data[key] = torch.from_numpy(corners[:, :2])
            data["patch_size"] = _indexed_size(self.dataset_dir)
        return data


def _indexed_size(dataset_dir: str | os.PathLike) -> int:
    """Size of the patches in the index, in slide pixels; a datalist written by hand may leave it out."""
    try:
        dataset = read_dataset(dataset_dir)
    except InputError:
        return DEFAULT_PATCH_SIZE  # the reading of the items tells what is wrong
    size = dataset.facts.get("patch_size", DEFAULT_PATCH_SIZE)
    if not isinstance(size, int) or size < 1:
        raise InputError(
            f"{dataset.path}: patch_size is {size!r}, expected a positive whole number; convert the data again"
        )
    return size
