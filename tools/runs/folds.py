"""A dataset whose folds can be trusted: each with labelled images, and nothing that is in two of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.errors import InputError
from tools.runs.files import read_json
from tools.toolbox import fold_units

__all__ = ["Datalist", "read_datalist", "read_folds"]


@dataclass(frozen=True)
class Datalist:
    """Labelled images of a dataset.

    Attributes
    ----------
    path : Path
        dataset.json
    name : str
    folds : tuple of int
        Ascending.
    training, testing : tuple of mapping
        Completely labelled items as they are listed.
    """

    path: Path
    name: str
    folds: tuple[int, ...]
    training: tuple[Mapping[str, object], ...]
    testing: tuple[Mapping[str, object], ...]

    @property
    def folder(self) -> Path:
        return self.path.parent

    @property
    def splits(self) -> tuple[str, ...]:
        """What networks can be evaluated on."""
        return ("validation", "testing") if self.testing else ("validation",)


def read_folds(dataset_dir: Path) -> Datalist:
    """The labelled images of a converted dataset with two folds at least.

    Raises
    ------
    InputError
        If dataset.json is missing or malformed, or has fewer folds with a labelled image.
    """
    path = dataset_dir / "dataset.json"
    try:
        content = read_json(path)
        training, testing = (
            tuple(item for item in content.get(section, []) if "label" in item and "annotated_slices" not in item)
            for section in ("training", "testing")
        )
        folds = tuple(sorted({int(item["fold"]) for item in training}))
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a MONAI datalist with folds ({error!r}); convert the data again") from error
    if len(folds) < 2:
        raise InputError(
            f"{path}: labelled images of {len(folds)} folds under training, expected two at least, one of them to "
            "validate on; convert again with --folds"
        )
    return Datalist(path, content.get("name") or dataset_dir.resolve().name, folds, training, testing)


def read_datalist(dataset_dir: Path, num_fold: int | None = None, bundles: Iterable[Path] = ()) -> Datalist:
    """The same for a cross-validation of bundles on all folds, or on so many, from 0.

    Raises
    ------
    InputError
        Also if a fold in between has no labelled image, or an image or a group is in two folds, or in one and under
        testing. The key ``unit`` of dataset.json names the groups that must stay together, else all those by which
        bundles split folds must.
    """
    found = read_folds(dataset_dir)
    _check_leaks(read_json(found.path), found.path, fold_units(*bundles))
    wanted = tuple(range(max(found.folds[-1] + 1 if num_fold is None else num_fold, 2)))
    empty = [fold for fold in wanted if fold not in found.folds]
    if empty:
        raise InputError(
            f"{found.path}: no labelled image in fold {', '.join(map(str, empty))} of {len(wanted)}; there are folds "
            f"{', '.join(map(str, found.folds))}: convert again with --folds {len(wanted)}, or give another --num_fold"
        )
    return replace(found, folds=wanted)


def _check_leaks(content: Mapping[str, Any], path: Path, units: Sequence[str]) -> None:
    """Refuse a datalist by which a network would be evaluated on what it was trained on."""
    keys = (str(content["unit"]),) if content.get("unit") else units
    place_of: dict[tuple[str, str], str] = {}
    for section in ("training", "testing"):
        for item in content.get(section, []):
            place = f"fold {item.get('fold')}" if section == "training" else "testing"
            if "image" not in item:
                raise InputError(f"{path}: an item without 'image': {dict(item)}; convert the data again")
            image = ("image", str((path.parent / item["image"]).resolve()))
            if image in place_of:
                first = place_of[image]
                where = f"is listed twice in {place}" if first == place else f"is in {first} and in {place}"
                raise InputError(f"{path}: {item['image']} {where}; list every image once")
            place_of[image] = place
            for key in (key for key in keys if key in item):
                first = place_of.setdefault((key, str(item[key])), place)
                if first != place:
                    raise InputError(
                        f"{path}: {key} {item[key]} is in {first} and in {place} ({item['image']}), so a network would "
                        f"be evaluated on what it knows; keep every {key} in one place, converting again does so"
                    )
