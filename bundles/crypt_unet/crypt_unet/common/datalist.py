"""A dataset on disk: ``dataset.json``, the MONAI datalist that every bundle reads, and the files that it lists."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import InputError
from .files import write_text

__all__ = ["DATALIST", "Dataset", "Item", "find_dataset", "read_dataset", "write_dataset"]

DATALIST = "dataset.json"
SECTIONS = ("training", "testing")


@dataclass(frozen=True)
class Item:
    """An image of a dataset, and what is listed with it.

    Attributes
    ----------
    dataset : Path
        The ``dataset.json`` that lists it.
    entry : mapping
        As it is listed: ``image``, mostly ``label`` and ``fold``, further files and facts. Paths are relative to the
        dataset's folder.
    """

    dataset: Path
    entry: Mapping[str, Any]

    def __contains__(self, key: str) -> bool:
        return key in self.entry

    @property
    def name(self) -> str:
        """The image as it is listed."""
        return self.entry["image"]

    @property
    def image(self) -> Path:
        """The image file, which may be missing; see `file`."""
        return self.dataset.parent / self.entry["image"]

    @property
    def is_complete(self) -> bool:
        """Whether the label holds all objects; if single slices are annotated, the others are unknown, not empty."""
        return "label" in self.entry and "annotated_slices" not in self.entry

    @property
    def fold(self) -> int:
        """The fold that the item is held out in; InputError if that is not a whole number."""
        fold = self.entry.get("fold")
        if not isinstance(fold, int) or isinstance(fold, bool):
            raise InputError(f"{self.dataset}: {self.name} needs a whole number as 'fold'; found {fold!r}")
        return fold

    def file(self, key: str) -> Path:
        """A file that belongs to the item, such as its ``label``: absolute, and there.

        InputError if nothing is listed under ``key``, or it is no file inside the dataset's folder.
        """
        if key not in self.entry:
            raise InputError(f"{self.dataset}: {self.name} has no '{key}'; convert the data again")
        listed, root = self.entry[key], self.dataset.parent
        if not isinstance(listed, str):
            raise InputError(f"{self.dataset}: {key} is {listed!r}, expected one path; convert the data again")
        file = (root / listed).resolve()
        if not file.is_relative_to(root.resolve()):
            raise InputError(f"{self.dataset}: {key} '{listed}' is outside {root}; move the file into the folder")
        if not file.is_file():
            raise InputError(f"{self.dataset}: {key} '{listed}' does not exist in {root}; convert the data again")
        return file


@dataclass(frozen=True)
class Dataset:
    """What a ``dataset.json`` lists.

    Attributes
    ----------
    path : Path
        The ``dataset.json``.
    name : str
        The folder's name where the file gives none.
    training, testing : tuple of Item
        In the order of the file.
    facts : mapping
        All else that the file says: licence, spacing, unit, ...
    """

    path: Path
    name: str
    training: tuple[Item, ...] = ()
    testing: tuple[Item, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.path.parent

    def places(self) -> Iterator[tuple[Item, str]]:
        """Every item with the side of the split that it is on: ``fold 0``, ..., ``testing``."""
        yield from ((item, f"fold {item.entry.get('fold')}") for item in self.training)
        yield from ((item, "testing") for item in self.testing)


def read_dataset(folder: str | os.PathLike[str]) -> Dataset:
    """Read ``folder/dataset.json``; whether the files that it lists exist is checked when they are used.

    InputError if the file is missing, or is no MONAI datalist.
    """
    path = Path(folder, DATALIST)
    if not path.exists():
        made_by = f"python -m tools convert <format> SRC {folder}"
        raise InputError(f"{path}: no such file; make it with: {made_by} (or `correct`, of corrected labels)")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        sections = {section: tuple(dict(entry) for entry in content.pop(section, [])) for section in SECTIONS}
        name = content.pop("name", None) or path.resolve().parent.name
    except (ValueError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise InputError(f"{path}: not a MONAI datalist ({error}); convert the data again") from error
    for entry in (entry for entries in sections.values() for entry in entries):
        if "image" not in entry:
            raise InputError(f"{path}: an item without 'image': {entry}; every item needs one")
        if not isinstance(entry["image"], str):
            raise InputError(f"{path}: image is {entry['image']!r}, expected one path; convert the data again")
    items = {section: tuple(Item(path, entry) for entry in entries) for section, entries in sections.items()}
    return Dataset(path, str(name), facts=content, **items)


def find_dataset(image: str | os.PathLike[str]) -> Dataset:
    """The dataset of an image: that of its folder, or of the nearest folder above that has one.

    InputError if there is none.
    """
    folder = Path(image).resolve().parent
    for candidate in (folder, *folder.parents):
        if (candidate / DATALIST).is_file():
            return read_dataset(candidate)
    raise InputError(f"{image}: no {DATALIST} in its folder or above; evaluate on a converted dataset, left in place")


def write_dataset(
    folder: str | os.PathLike[str],
    *,
    name: str,
    training: Iterable[Mapping[str, Any]],
    testing: Iterable[Mapping[str, Any]],
    **facts: Any,
) -> Path:
    """Write ``folder/dataset.json``, whole or not at all.

    Parameters
    ----------
    folder : path
        Holds the files that the items list.
    name : str
        Of the dataset, as cards give it.
    training, testing : iterable of mapping
        Entries as in `Item`.
    **facts
        What else the file says, such as licence and spacing; they stand before the lists.

    Returns
    -------
    Path
        The file.
    """
    path = Path(folder, DATALIST)
    content = {"name": name, **facts, "training": list(training), "testing": list(testing)}
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return path
