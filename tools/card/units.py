"""The dataset.json behind evaluated images, and the independent unit that each of them belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.datalist import find_dataset
from common.errors import InputError

__all__ = ["Cases", "group_images"]


@dataclass(frozen=True)
class Cases:
    """The evaluated images: name of their dataset, kind of independent unit, such as "sequence", and unit of each.

    ``aligned`` says whether the converter moved the truth onto the images.
    """

    dataset: str
    unit: str
    unit_of: dict[str, str]
    aligned: bool = False


def group_images(
    images: Sequence[str], units: Sequence[str], section: str = "testing", *, disjoint: bool = False
) -> Cases:
    """Find the dataset.json, in their folder or above, that the images belong to, and the unit of each.

    Of the item keys ``units`` the first that some item has is the unit, unless dataset.json names another one under
    ``unit``; without any, each image is a unit of its own, a ``case``. ``section``, ``testing`` or ``training``, is the
    list that they have to be in; ``disjoint`` tells whether no unit of theirs may be under ``training``. InputError if
    there is no dataset.json, there are several, it does not list an image in that section, or a unit is under training
    that must not be.
    """
    folders: dict[Path, str] = {}
    for image in images:
        folders.setdefault(Path(image).resolve().parent, image)
    datasets = {dataset.path: dataset for dataset in map(find_dataset, folders.values())}
    if len(datasets) != 1:
        raise InputError(
            f"images of {len(datasets)} datasets ({', '.join(map(str, sorted(datasets)))}); evaluate one at a time"
        )
    ((path, dataset),) = datasets.items()
    listed = {item.image.resolve(): item for item in (dataset.training if section == "training" else dataset.testing)}
    for image in images:
        if Path(image).resolve() not in listed:
            raise InputError(f"{path}: {image} is not under {section}, of which scores are expected")
    items = {image: listed[Path(image).resolve()] for image in images}
    unit = dataset.facts.get("unit") or next((key for key in units if any(key in i for i in items.values())), "case")
    for item in items.values():
        if unit != "case" and unit not in item:
            raise InputError(f"{path}: {item.name} has no {unit!r}, by which others are grouped; add it")
    key = "image" if unit == "case" else unit
    unit_of = {image: str(item.entry[key]) for image, item in items.items()}
    seen = {str(item.entry.get(key)) for item in dataset.training} & set(unit_of.values()) if disjoint else set()
    if seen:
        raise InputError(f"{path}: {unit} {', '.join(sorted(seen))} is under training, too, so it was not held out")
    aligned = any(any(moved["moved_by"]) for moved in dataset.facts.get("alignment", {}).values())
    return Cases(dataset=dataset.name, unit=unit, unit_of=unit_of, aligned=aligned)
