"""A datalist that a cross-validation can trust: folds with images, and nothing that is in two of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError
from tools.runs.choices import read_folds, read_json

__all__ = ["Datalist", "check_leaks", "read_datalist"]

GROUP_KEYS = ("sequence", "subject", "slide", "group")


@dataclass(frozen=True)
class Datalist:
    """Labelled images of a dataset.

    Attributes
    ----------
    folder : Path
        Where dataset.json is.
    name : str
    folds : tuple of int
        Those to cross-validate on, ascending.
    training, testing : tuple of mapping
        Completely labelled items as they are listed.
    """

    folder: Path
    name: str
    folds: tuple[int, ...]
    training: tuple[Mapping[str, object], ...]
    testing: tuple[Mapping[str, object], ...]

    @property
    def path(self) -> Path:
        return self.folder / "dataset.json"


def read_datalist(dataset_dir: Path, num_fold: int | None = None) -> Datalist:
    """Read and check the datalist of a converted dataset.

    Parameters
    ----------
    dataset_dir : Path
        Folder with dataset.json.
    num_fold : int, optional
        How many of its folds to use, from 0; all without it.

    Returns
    -------
    Datalist

    Raises
    ------
    InputError
        If it is missing or malformed, a fold has no labelled image, or an image or a group is in two folds, or in one
        and under testing.
    """
    path = dataset_dir / "dataset.json"
    known = read_folds(dataset_dir)
    content = read_json(path)
    check_leaks(content, path)
    wanted = tuple(range(max(known.folds[-1] + 1 if num_fold is None else num_fold, 2)))
    empty = [fold for fold in wanted if fold not in known.folds]
    if empty:
        raise InputError(
            f"{path}: no labelled image in fold {', '.join(map(str, empty))} of {len(wanted)}; there are folds "
            f"{', '.join(map(str, known.folds))}: convert again with --folds {len(wanted)}, or give another --num_fold"
        )
    training, testing = (
        tuple(item for item in content.get(section, []) if "label" in item and "annotated_slices" not in item)
        for section in ("training", "testing")
    )
    return Datalist(dataset_dir, content.get("name") or dataset_dir.resolve().name, wanted, training, testing)


def check_leaks(content: Mapping[str, object], path: Path) -> None:
    """Refuse a datalist by which a network would be evaluated on what it was trained on.

    Parameters
    ----------
    content : mapping
        Content of dataset.json; ``unit`` may name the key of the groups that must stay together, else ``sequence``,
        ``subject``, ``slide`` and ``group`` must.
    path : Path
        Its file, for messages.

    Raises
    ------
    InputError
        If an image or a group is in two folds, or in one and under testing, or an image is listed twice.
    """
    keys = (str(content["unit"]),) if content.get("unit") else GROUP_KEYS
    place_of: dict[tuple[str, str], str] = {}
    for section in ("training", "testing"):
        for item in content.get(section, []):
            place = f"fold {item.get('fold')}" if section == "training" else "testing"
            image = str((path.parent / item["image"]).resolve()) if "image" in item else None
            if image is None:
                raise InputError(f"{path}: an item without 'image': {dict(item)}; convert the data again")
            if place_of.setdefault(("image", image), place) != place:
                first = place_of["image", image]
                raise InputError(f"{path}: {item['image']} is in {first} and in {place}; list every image once")
            if ("listed", image) in place_of:
                raise InputError(f"{path}: {item['image']} is listed twice in {place}; list every image once")
            place_of["listed", image] = place
            for key in (key for key in keys if key in item):
                first = place_of.setdefault((key, str(item[key])), place)
                if first != place:
                    raise InputError(
                        f"{path}: {key} {item[key]} is in {first} and in {place} ({item['image']}), so a network would "
                        f"be evaluated on what it knows; keep every {key} in one place, converting again does so"
                    )
