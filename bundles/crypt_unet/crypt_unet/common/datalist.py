"""Reads ``dataset.json``: which images a run trains on, validates on, is judged by and is applied to."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import InputError
from .names import SUFFIXES, stem

__all__ = ["evaluation_items", "inference_items", "training_items", "validation_items"]

logger = logging.getLogger(__name__)

DATALIST = "dataset.json"
PATH_KEYS = ("image", "label", "markers", "patches", "axon", "myelin")


def training_items(
    dataset_dir: str | os.PathLike,
    fold: int | str,
    truth: Sequence[str] = ("label",),
    extra: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> list[dict[str, str]]:
    """Labelled items of ``training`` outside ``fold``.

    Parameters
    ----------
    dataset_dir : path
        Folder that holds ``dataset.json``.
    fold : int or "none"
        The fold left out for validation; the word ``none`` leaves none out.
    truth : sequence of str
        Keys that may hold the truth, the best first.
    extra : sequence of str
        Further keys that every item has to have, such as ``patches``.
    optional : sequence of str
        Further keys that are handed on where an item has them, such as ``cell_type``.

    Returns
    -------
    list of dict
        Absolute paths under ``image``, ``label``, whichever key the truth came from, and further keys. Frames of which
        only single slices are annotated are left out, with a warning: their other slices are unknown, not background.

    Raises
    ------
    InputError
        If the datalist is missing or malformed, or leaves nothing to train on.
    """
    items = _with_truth(dataset_dir, "training", truth)
    _check_fold(items, fold, dataset_dir)
    chosen = [_labelled(item, dataset_dir, extra, optional) for item in items if item["fold"] != fold]
    if not chosen:
        raise InputError(
            f"{Path(dataset_dir, DATALIST)}: no completely labelled image outside fold {fold} to train on; "
            f"there are {len(items)} labelled images, all in this fold. Convert with more sequences or --folds"
        )
    return chosen


def validation_items(
    dataset_dir: str | os.PathLike,
    fold: int | str,
    truth: Sequence[str] = ("label",),
    extra: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> list[dict[str, str]]:
    """Labelled items of ``training`` that belong to ``fold``; see `training_items`."""
    items = _with_truth(dataset_dir, "training", truth)
    _check_fold(items, fold, dataset_dir)
    return [_labelled(item, dataset_dir, extra, optional) for item in items if item["fold"] == fold]


def evaluation_items(
    dataset_dir: str | os.PathLike,
    truth: Sequence[str] = ("label",),
    extra: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> list[dict[str, str]]:
    """Labelled items of ``testing``; see `training_items`."""
    items = _with_truth(dataset_dir, "testing", truth)
    if not items:
        raise InputError(
            f"{Path(dataset_dir, DATALIST)}: no labelled image under 'testing' to evaluate on; "
            "put some there (tools convert ... --test)"
        )
    return [_labelled(item, dataset_dir, extra, optional) for item in items]


def inference_items(dataset_dir: str | os.PathLike, kind: str, optional: Sequence[str] = ()) -> list[dict[str, str]]:
    """All items of ``testing``; where there is no ``dataset.json``, every image in the folder.

    Parameters
    ----------
    dataset_dir, optional
        As for `training_items`.
    kind : {"volume", "picture", "slide"}
        What the images are, which tells their names' endings.

    Raises
    ------
    InputError
        If there is nothing to segment, or two results would have the same name.
    """
    root = Path(dataset_dir)
    if (root / DATALIST).exists():
        items = _read(root, "testing")
        if not items:
            raise InputError(f"{root / DATALIST}: nothing under 'testing' to segment; add images there")
        found = [_paths(item, dataset_dir, "image", *(key for key in optional if key in item)) for item in items]
        return _with_distinct_stems(found)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give --dataset_dir a folder with {DATALIST} or images")
    images = sorted(p for p in root.iterdir() if p.name.lower().endswith(SUFFIXES[kind]) and p.name[0] != ".")
    if not images:
        raise InputError(
            f"{root}: neither {DATALIST} nor an image ({', '.join(SUFFIXES[kind])}) in it; put images there, or "
            "convert the data"
        )
    return _with_distinct_stems([{"image": str(path)} for path in images])


def _with_distinct_stems(items: list[dict[str, str]]) -> list[dict[str, str]]:
    """The items; results are named after the stem, so no two may share one."""
    images: dict[str, str] = {}
    for image in (item["image"] for item in items):
        other = images.setdefault(stem(image), image)
        if other != image:
            raise InputError(f"{image}: its results would have the same name as those of {other}; rename one")
    return items


def _labelled(
    item: dict[str, Any], dataset_dir: str | os.PathLike, extra: Sequence[str], optional: Sequence[str]
) -> dict[str, str]:
    return _paths(item, dataset_dir, "image", "label", *extra, *(key for key in optional if key in item))


def _paths(item: dict[str, Any], dataset_dir: str | os.PathLike, *keys: str) -> dict[str, str]:
    """Only what the transforms read: MONAI takes further keys such as ``label_source`` for metadata of ``label``."""
    for key in keys:
        if key not in item:
            source = Path(dataset_dir, DATALIST)
            raise InputError(f"{source}: {item['image']} has no '{key}'; convert the data again")
    return {key: item[key] for key in keys}


def _with_truth(dataset_dir: str | os.PathLike, section: str, truth: Sequence[str]) -> list[dict[str, Any]]:
    """Items that have a complete truth, with the best one under ``label``."""
    items, num_partial = [], 0
    for item in _read(Path(dataset_dir), section):
        keys = [key for key in truth if key in item]
        complete = [key for key in keys if key != "label" or "annotated_slices" not in item]
        if complete:
            items.append({**item, "label": item[complete[0]]})
        num_partial += bool(keys) and not complete
    if num_partial:
        logger.warning(
            "%d of %d labelled images are left out: only single slices of them are annotated",
            num_partial,
            num_partial + len(items),
        )
    return items


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
        if not isinstance(item[key], str):
            raise InputError(f"{source}: {key} is {item[key]!r}, expected one path; convert the data again")
        file = (root / item[key]).resolve()
        if not file.is_relative_to(root.resolve()):
            raise InputError(f"{source}: {key} '{item[key]}' lies outside {root}; move the file into the folder")
        if not file.is_file():
            raise InputError(f"{source}: {key} '{item[key]}' does not exist in {root}; convert the data again")
        item[key] = str(file)
    return item


def _check_fold(items: list[dict[str, Any]], fold: int | str, dataset_dir: str | os.PathLike) -> None:
    """Refuse a fold that no item belongs to: a training would validate on nothing."""
    source = Path(dataset_dir, DATALIST)
    for item in items:
        if not isinstance(item.get("fold"), int):
            raise InputError(f"{source}: {item['image']} needs a whole number as 'fold'; found {item.get('fold')!r}")
    folds = sorted({item["fold"] for item in items})
    if fold != "none" and fold not in folds:
        raise InputError(f"{source}: no completely labelled image in fold {fold}; there are folds {folds}")
