"""Which parts of the slides a training sees, and which an evaluation is told about."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from .common.errors import InputError
from .common.items import DATALIST, training_items

__all__ = ["ReadPatchIndexd", "choose_patches", "read_patch_index", "training_patches"]

DEFAULT_PATCH_SIZE = 512
# a turned square needs more than its own size, or corners would be filled with invented tissue
MARGIN = 1.5


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


def choose_patches(index: np.ndarray, unannotated_ratio: float) -> np.ndarray:
    """All patches with annotation, and some of those without: that there may be none has to be learned too.

    Parameters
    ----------
    index : ndarray of int, shape (n, 3)
        As `read_patch_index` gives it.
    unannotated_ratio : float
        Patches without annotation for each one with; those kept are spread over the slide. A slide that has no
        annotation at all keeps every patch.

    Returns
    -------
    ndarray of int, shape (m, 3)
        In the order of ``index``.
    """
    annotated, empty = np.flatnonzero(index[:, 2] > 0), np.flatnonzero(index[:, 2] == 0)
    num_kept = min(len(empty), round(unannotated_ratio * len(annotated))) if len(annotated) else len(empty)
    kept = empty[np.linspace(0, len(empty) - 1, num_kept).round().astype(int)] if num_kept else empty[:0]
    return index[np.sort(np.concatenate([annotated, kept]))]


def training_patches(
    dataset_dir: str | os.PathLike,
    fold: int | str,
    patch_size: Sequence[int],
    downsample: int,
    unannotated_ratio: float = 1.0,
) -> list[dict[str, Any]]:
    """One item for each patch that a training sees in an epoch.

    Parameters
    ----------
    dataset_dir : path
        Folder that holds ``dataset.json``.
    fold : int or "none"
        The fold left out for validation.
    patch_size : sequence of int
        Height and width of what the network gets, in pixels of the working resolution.
    downsample : int
        Slide pixels per pixel of the working resolution.
    unannotated_ratio : float
        As for `choose_patches`, slide by slide.

    Returns
    -------
    list of dict
        ``image``, ``label``: paths; ``region``: row and column of the patch's centre and a size, in slide pixels. The
        region is 1.5 times as large as the network's input, so that this can be turned and moved inside it.

    Raises
    ------
    InputError
        If the datalist or a patch index is missing or malformed, or no patch is left.
    """
    indexed_size = _indexed_size(dataset_dir)
    size = int(np.ceil(max(patch_size) * MARGIN)) * downsample
    items = []
    for item in training_items(dataset_dir, fold, extra=("patches",)):
        for y, x, _ in choose_patches(read_patch_index(item["patches"]), unannotated_ratio).tolist():
            region = (y + indexed_size // 2, x + indexed_size // 2, size)
            items.append({"image": item["image"], "label": item["label"], "region": region})
    if not items:
        raise InputError(
            f"{Path(dataset_dir, DATALIST)}: no patch to train on, all were dropped as glass or missing; convert with "
            "other --white_share and --black_share, or give a larger --unannotated_ratio"
        )
    return items


class ReadPatchIndexd(MapTransform):
    """Replaces the path of a patch index by its corners, a tensor (n, 2), and adds their size as ``patch_size``."""

    def __init__(self, keys: KeysCollection, dataset_dir: str | os.PathLike, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.dataset_dir = dataset_dir

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        for key in self.key_iterator(data):
            data[key] = torch.from_numpy(read_patch_index(data[key])[:, :2])
            data["patch_size"] = _indexed_size(self.dataset_dir)
        return data


def _indexed_size(dataset_dir: str | os.PathLike) -> int:
    """Size of the patches in the index, in slide pixels; a datalist written by hand need not tell it."""
    path = Path(dataset_dir, DATALIST)
    try:
        size = json.loads(path.read_text()).get("patch_size", DEFAULT_PATCH_SIZE)
    except (OSError, ValueError, AttributeError):
        return DEFAULT_PATCH_SIZE  # the reading of the items tells what is wrong
    if not isinstance(size, int) or size < 1:
        raise InputError(f"{path}: patch_size is {size!r}, expected a positive whole number; convert the data again")
    return size
