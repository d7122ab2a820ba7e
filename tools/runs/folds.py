"""A dataset whose folds can be trusted: each with labelled images, and nothing that is in two of them."""

import itertools
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.datalist import Dataset, Item, read_dataset
from common.errors import InputError
from common.items import FILE_KEYS
from common.json_file import read_json
from common.names import IMAGE_ENDINGS, SUFFIXES
from tools.checksum import copies
from tools.runs.overrides import choose
from tools.toolbox import fold_units, read_toolbox

__all__ = ["Folds", "check_dataset", "fitting", "read_folds", "read_separate_folds", "warn_of_leaks"]

logger = logging.getLogger(__name__)

ITEMS = ("training_items", "validation_items")  # of common.items, which train.json calls


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


def check_dataset(dataset: Dataset, bundle: Path, items: Sequence[str] = ITEMS) -> None:
    """Refuse a dataset that is of another kind than a bundle reads, before anything is trained on it.

    InputError if an image has an ending that the bundle does not read, one under training lacks a file that those of
    ``items`` take which the bundle's train.json calls, or a file that is listed is not there.
    """
    kind = read_toolbox(bundle).input
    needed = {key for one in _calls(read_json(bundle / "configs/train.json"), items) for key in one.get("extra", ())}
    for item in (*dataset.training, *dataset.testing):
        name, told = bundle.resolve().name, f"{dataset.path}: {item.name}"
        image = item.name.lower()
        if image.endswith(IMAGE_ENDINGS) and not image.endswith(SUFFIXES[kind]):
            raise InputError(f"{told}: {name} takes a {kind} ({', '.join(SUFFIXES[kind])}); give a dataset made for it")
        missing = sorted(needed - item.entry.keys()) if item.is_complete and item in dataset.training else []
        if missing:
            raise InputError(f"{told} has no '{missing[0]}', on which {name} is trained; give a dataset made for it")
        for key in item.entry.keys() & {*FILE_KEYS}:
            item.file(key)


def fitting(dataset: Dataset, bundles: Iterable[Path]) -> list[Path]:
    """Those of some bundles that can be trained on a dataset; the InputError of the first one if none can."""
    found, refused = [], []
    for bundle in bundles:
        try:
            check_dataset(dataset, bundle)
            found.append(bundle)
        except InputError as error:
            refused.append(error)
    if refused and not found:
        raise refused[0]
    return found


def _calls(config: object, functions: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Calls of some functions in a config, at any depth."""
    inner: Iterable[object] = config if isinstance(config, list) else ()
    if isinstance(config, Mapping):
        inner = config.values()
        if str(config.get("_target_")).rpartition(".")[2] in functions:
            yield config
    for one in inner:
        yield from _calls(one, functions)


def read_folds(dataset_dir: Path, *bundles: Path) -> Folds:
    """The folds of a converted dataset for some bundles.

    InputError if fewer than two have a labelled image, or the dataset is not of the kind that a bundle takes.
    """
    dataset = read_dataset(dataset_dir)
    for bundle in bundles:
        check_dataset(dataset, bundle)
    folds = tuple(sorted({item.fold for item in dataset.training if item.is_complete}))
    if len(folds) < 2:
        raise InputError(
            f"{dataset.path}: labelled images of {len(folds)} folds under training, expected two at least, one of them "
            "to validate on; convert again with --folds"
        )
    return Folds(dataset, folds)


def read_separate_folds(dataset_dir: Path, folds: str = "", bundles: Collection[Path] = ()) -> Folds:
    """The same for a cross-validation of bundles on all folds, or on those listed, such as ``0,1``.

    InputError also if a fold before the last has no labelled image, fewer than two are listed, or an image or a group
    is in two folds, or in one and under testing. The key ``unit`` of dataset.json names the groups that must stay
    together, else all those by which bundles split folds must.
    """
    found = read_folds(dataset_dir, *bundles)
    path = found.dataset.path
    for leak in _leaks(found.dataset, found.dataset.places(), _units(found.dataset, *bundles)):
        raise InputError(leak)
    for copy in itertools.islice(_copies(found.dataset, found.dataset.places()), 1):
        logger.warning("%s", copy)
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


def warn_of_leaks(dataset: Dataset, bundle: Path, *, by_fold: bool = True) -> None:
    """Warn where a network would be measured on what it knows; for who trains on all folds, of testing only."""
    places = [(item, place if by_fold or place == "testing" else "training") for item, place in dataset.places()]
    leaks = itertools.chain(_leaks(dataset, places, _units(dataset, bundle)), _copies(dataset, places))
    for found in itertools.islice(leaks, 1):
        logger.warning("%s", found)


def _units(dataset: Dataset, *bundles: Path) -> Collection[str]:
    """Keys of the items that name what has to stay together."""
    unit = dataset.facts.get("unit")
    return [str(unit)] if unit else fold_units(*bundles)


def _leaks(dataset: Dataset, places: Iterable[tuple[Item, str]], units: Collection[str]) -> Iterator[str]:
    """What is in two places, by which a network would be evaluated on what it was trained on."""
    place_of: dict[tuple[str, str], str] = {}
    of_image: dict[Path, str] = {}
    for item, place in places:
        path = item.image.resolve()
        if path in of_image:
            first = of_image[path]
            where = f"is listed twice in {place}" if first == place else f"is in {first} and in {place}"
            yield f"{dataset.path}: {item.name} {where}; list every image once"
        of_image[path] = place
        for key in (key for key in units if key in item):
            first = place_of.setdefault((key, str(item.entry[key])), place)
            if first != place:
                yield (
                    f"{dataset.path}: {key} {item.entry[key]} is in {first} and in {place} ({item.name}), so a network "
                    f"would be evaluated on what it knows; convert again, which keeps every {key} in one place"
                )


def _copies(dataset: Dataset, places: Iterable[tuple[Item, str]]) -> Iterator[str]:
    """Images that are the same file in two places; blank ones may be so by right."""
    of_image = {item.image.resolve(): (item, place) for item, place in places}
    for path, original in copies(path for path in of_image if path.is_file()).items():
        (item, place), (other, first) = of_image[path], of_image[original]
        if place != first:
            yield (
                f"{dataset.path}: {item.name} in {place} is a copy of {other.name} in {first}, so a network is "
                "evaluated on what it knows; remove one"
            )
