"""Reads ``dataset.json``: which images a run trains on, validates on, is judged by and is applied to."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from .errors import InputError

__all__ = ["evaluation_items", "inference_items", "training_items", "validation_items"]

logger = logging.getLogger(__name__)

DATALIST = "dataset.json"
PATH_KEYS = ("image", "label", "markers")
IMAGE_SUFFIXES = (".nii.gz", ".nii")


def training_items(dataset_dir: str | os.PathLike, fold: int) -> list[dict[str, str]]:
    """Labelled items of ``training`` outside ``fold``.

    Parameters
    ----------
    dataset_dir : path
        Folder that holds ``dataset.json``.
    fold : int
        The fold left out for validation.

    Returns
    -------
    list of dict
        Absolute paths under ``image`` and ``label``. Frames of which only single slices are annotated are left out, with a
        warning: their other slices are unknown, not background.

    Raises
    ------
    InputError
        If the datalist is missing or malformed, or leaves nothing to train on.
    """
    items = _labelled(dataset_dir, "training")
    chosen = [_paths(item, "image", "label") for item in items if _fold(item, dataset_dir) != fold]
    if not chosen:
        raise InputError(
            f"{Path(dataset_dir, DATALIST)}: no completely labelled image outside fold {fold} to train on; "
            f"there are {len(items)} labelled images in folds {_folds(items)}. Convert with more sequences or --folds"
        )
    return chosen


def validation_items(dataset_dir: str | os.PathLike, fold: int) -> list[dict[str, str]]:
    """Labelled items of ``training`` that belong to ``fold``; see `training_items`."""
    items = _labelled(dataset_dir, "training")
    chosen = [_paths(item, "image", "label") for item in items if _fold(item, dataset_dir) == fold]
    if not chosen:
        raise InputError(f"{Path(dataset_dir, DATALIST)}: no image in fold {fold}; choose one of {_folds(items)}")
    return chosen


def evaluation_items(dataset_dir: str | os.PathLike) -> list[dict[str, str]]:
    """Labelled items of ``testing``; see `training_items`."""
    items = _labelled(dataset_dir, "testing")
    if not items:
        raise InputError(
            f"{Path(dataset_dir, DATALIST)}: no labelled image under 'testing' to evaluate on; "
            "put some there (tools convert ... --test)"
        )
    return [_paths(item, "image", "label") for item in items]


def inference_items(dataset_dir: str | os.PathLike) -> list[dict[str, str]]:
    """All items of ``testing``; where there is no ``dataset.json``, every NIfTI image in the folder."""
    root = Path(dataset_dir)
    if (root / DATALIST).exists():
        items = _read(root, "testing")
        if not items:
            raise InputError(f"{root / DATALIST}: nothing under 'testing' to segment; add images there")
        return [_paths(item, "image") for item in items]
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give --dataset_dir a folder with {DATALIST} or NIfTI images")
    images = sorted(path for path in root.iterdir() if path.name.endswith(IMAGE_SUFFIXES))
    if not images:
        raise InputError(f"{root}: neither {DATALIST} nor a NIfTI image (*.nii, *.nii.gz) in it; convert the data first")
    return [{"image": str(path)} for path in images]


def _paths(item: dict[str, Any], *keys: str) -> dict[str, str]:
    """Only what the transforms read: MONAI takes further keys such as ``label_source`` for metadata of ``label``."""
    return {key: item[key] for key in keys}


def _labelled(dataset_dir: str | os.PathLike, section: str) -> list[dict[str, Any]]:
    items = [item for item in _read(Path(dataset_dir), section) if "label" in item]
    partial = [item for item in items if "annotated_slices" in item]
    if partial:
        logger.warning(
            "%d of %d labelled images are left out: only single slices of them are annotated", len(partial), len(items)
        )
    return [item for item in items if "annotated_slices" not in item]


def _read(root: Path, section: str) -> list[dict[str, Any]]:
    path = root / DATALIST
    if not path.exists():
        raise InputError(f"{path}: no such file; make it with: python -m tools convert <format> SRC {root}")
    try:
        content = json.loads(path.read_text())
        items = [dict(item) for item in content.get(section, [])]
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a MONAI datalist ({error}); convert the data again") from error
    return [_with_absolute_paths(item, root, path) for item in items]


def _with_absolute_paths(item: dict[str, Any], root: Path, source: Path) -> dict[str, Any]:
    if "image" not in item:
        raise InputError(f"{source}: an item without 'image': {item}; every item needs one")
    for key in PATH_KEYS:
        if key not in item:
            continue
        file = (root / item[key]).resolve()
        if not file.is_relative_to(root.resolve()):
            raise InputError(f"{source}: {key} '{item[key]}' lies outside {root}; move the file into the folder")
        if not file.is_file():
            raise InputError(f"{source}: {key} '{item[key]}' does not exist in {root}; convert the data again")
        item[key] = str(file)
    return item


def _fold(item: dict[str, Any], dataset_dir: str | os.PathLike) -> int:
    if "fold" not in item:
        raise InputError(f"{Path(dataset_dir, DATALIST)}: {item['image']} has no 'fold'; every training item needs one")
    return item["fold"]


def _folds(items: list[dict[str, Any]]) -> list[int]:
    return sorted({item["fold"] for item in items if "fold" in item})
