"""The dataset.json behind evaluated images, and the independent unit that each of them belongs to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError

__all__ = ["Cases", "group_images"]


@dataclass(frozen=True)
class Cases:
    """The evaluated images: name of their dataset, kind of independent unit ("sequence"), unit of each image."""

    dataset: str
    unit: str
    unit_of: dict[str, str]


def group_images(
    images: Sequence[str], units: Sequence[str], section: str = "testing", *, disjoint: bool = False
) -> Cases:
    """Find the dataset.json that the images belong to, and the unit of each.

    Parameters
    ----------
    images : sequence of str
        Image files, listed in a dataset.json in their folder or above.
    units : sequence of str
        Item keys of which the first that some item has is the unit, unless dataset.json names another one under
        ``unit``. Without any, each image is a unit of its own, a ``case``.
    section : str
        The list that they have to be in, ``testing`` or ``training``.
    disjoint : bool
        Whether no unit of theirs may be under ``training``.

    Returns
    -------
    Cases

    Raises
    ------
    InputError
        If there is no dataset.json, there are several, it does not list an image in that section, or a unit is under
        training that must not be.
    """
    paths = sorted({_find_datalist(Path(image).resolve().parent, image) for image in images})
    if len(paths) != 1:
        raise InputError(f"images of {len(paths)} datasets ({', '.join(map(str, paths))}); evaluate one at a time")
    root = paths[0].parent
    try:
        datalist = json.loads(paths[0].read_text(encoding="utf-8"))
        listed = {(root / item["image"]).resolve(): item for item in datalist.get(section, [])}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{paths[0]}: not a MONAI datalist ({error}); convert the data again") from error
    for image in images:
        if Path(image).resolve() not in listed:
            raise InputError(f"{paths[0]}: {image} is not under {section}, of which scores are expected")
    items = {image: listed[Path(image).resolve()] for image in images}
    unit = datalist.get("unit") or next((key for key in units if any(key in i for i in items.values())), "case")
    for item in items.values():
        if unit != "case" and unit not in item:
            raise InputError(f"{paths[0]}: {item['image']} has no {unit!r}, by which others are grouped; add it")
    key = "image" if unit == "case" else unit
    unit_of = {image: str(item[key]) for image, item in items.items()}
    seen = {str(item.get(key)) for item in datalist.get("training", [])} & set(unit_of.values()) if disjoint else set()
    if seen:
        raise InputError(f"{paths[0]}: {unit} {', '.join(sorted(seen))} is under training, too, so it was not held out")
    return Cases(dataset=datalist.get("name") or root.name, unit=unit, unit_of=unit_of)


def _find_datalist(folder: Path, image: str) -> Path:
    for candidate in (folder, *folder.parents):
        if (candidate / "dataset.json").is_file():
            return candidate / "dataset.json"
    raise InputError(f"{image}: no dataset.json in its folder or above; evaluate on a converted dataset, left in place")
