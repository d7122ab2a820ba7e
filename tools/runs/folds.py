"""A dataset whose folds can be trusted: each with labelled images, and nothing that is in two of them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from common.datalist import Dataset, Item, read_dataset
from common.errors import InputError
from tools.runs.overrides import choose
from tools.toolbox import fold_units

__all__ = ["Folds", "read_folds", "read_separate_folds"]


@dataclass(frozen=True)
class Folds:
    """A dataset and the folds of it that are used, ascending. Only completely labelled images count."""

    dataset: Dataset
    folds: tuple[int, ...]

    @property
    def training(self) -> tuple[Item, ...]:
        return tuple(item for item in self.dataset.training if item.is_complete)

    @property
    def testing(self) -> tuple[Item, ...]:
        return tuple(item for item in self.dataset.testing if item.is_complete)

    @property
    def splits(self) -> tuple[str, ...]:
        """What networks can be evaluated on."""
        return ("validation", "testing") if self.testing else ("validation",)


def read_folds(dataset_dir: Path) -> Folds:
    """The folds of a converted dataset; InputError if fewer than two have a labelled image."""
    dataset = read_dataset(dataset_dir)
    folds = tuple(sorted({item.fold for item in dataset.training if item.is_complete}))
    if len(folds) < 2:
        raise InputError(
            f"{dataset.path}: labelled images of {len(folds)} folds under training, expected two at least, one of them "
            "to validate on; convert again with --folds"
        )
    return Folds(dataset, folds)


def read_separate_folds(dataset_dir: Path, folds: str = "", bundles: Iterable[Path] = ()) -> Folds:
    """The same for a cross-validation of bundles on all folds, or on those listed, such as ``0,1``.

    InputError also if a fold before the last has no labelled image, fewer than two are listed, or an image or a group
    is in two folds, or in one and under testing. The key ``unit`` of dataset.json names the groups that must stay
    together, else all those by which bundles split folds must.
    """
    found = read_folds(dataset_dir)
    path, unit = found.dataset.path, found.dataset.facts.get("unit")
    _check_leaks(found.dataset, [str(unit)] if unit else fold_units(*bundles))
    wanted = tuple(range(found.folds[-1] + 1))
    empty = [fold for fold in wanted if fold not in found.folds]
    if empty:
        raise InputError(
            f"{path}: no labelled image in fold {', '.join(map(str, empty))} of {len(wanted)}; there are folds "
            f"{', '.join(map(str, found.folds))}: convert again with --folds {len(wanted)}"
        )
    chosen = choose(f"folds {folds}", folds, wanted)
    if len(chosen) < 2:
        raise InputError(f"--folds {folds}: one fold, expected at least two; compare trains on one")
    return replace(found, folds=chosen)


def _check_leaks(dataset: Dataset, units: Iterable[str]) -> None:
    """Refuse a dataset by which a network would be evaluated on what it was trained on."""
    place_of: dict[tuple[str, str], str] = {}
    for item, place in dataset.places():
        image = ("image", str(item.image.resolve()))
        if image in place_of:
            first = place_of[image]
            where = f"is listed twice in {place}" if first == place else f"is in {first} and in {place}"
            raise InputError(f"{dataset.path}: {item.name} {where}; list every image once")
        place_of[image] = place
        for key in (key for key in units if key in item):
            first = place_of.setdefault((key, str(item.entry[key])), place)
            if first != place:
                raise InputError(
                    f"{dataset.path}: {key} {item.entry[key]} is in {first} and in {place} ({item.name}), so a network "
                    f"would be evaluated on what it knows; convert again, which keeps every {key} in one place"
                )
