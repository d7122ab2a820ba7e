"""Which images of a dataset a run trains on, validates on, is evaluated on and segments."""

import glob
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from .datalist import DATALIST, Item, read_dataset
from .errors import InputError
from .names import IMAGE_ENDINGS, SUFFIXES, by_name, leads_nowhere, own_results, stem

__all__ = ["FILE_KEYS", "evaluation_items", "inference_items", "training_items", "validation_items"]

logger = logging.getLogger(__name__)

FILE_KEYS = ("image", "label", "markers", "patches", "axon", "myelin")


def training_items(
    dataset_dir: str | os.PathLike[str],
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
    items = _with_truth(read_dataset(dataset_dir).training, truth)
    _check_fold(items, fold, dataset_dir)
    chosen = [_labelled(item, truth, extra, optional) for item in items if item.fold != fold]
    if not chosen:
        raise InputError(
            f"{Path(dataset_dir, DATALIST)}: no completely labelled image outside fold {fold} to train on, "
            f"{len(items)} in it; give --fold none to train on all, or convert with more sequences or --folds"
        )
    return chosen


def validation_items(
    dataset_dir: str | os.PathLike[str],
    fold: int | str,
    truth: Sequence[str] = ("label",),
    extra: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> list[dict[str, str]]:
    """Labelled items of ``training`` that belong to ``fold``; see `training_items`."""
    items = _with_truth(read_dataset(dataset_dir).training, truth)
    _check_fold(items, fold, dataset_dir)
    chosen = [item for item in items if item.fold == fold]
    _tell_known(chosen, [item for item in items if item.fold != fold])
    return [_labelled(item, truth, extra, optional) for item in chosen]


def evaluation_items(
    dataset_dir: str | os.PathLike[str],
    truth: Sequence[str] = ("label",),
    extra: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> list[dict[str, str]]:
    """Labelled items of ``testing``; see `training_items`."""
    dataset = read_dataset(dataset_dir)
    items = _with_truth(dataset.testing, truth)
    if not items:
        raise InputError(
            f"{Path(dataset_dir, DATALIST)}: no labelled image under 'testing' to evaluate on; "
            "put some there (tools convert ... --test)"
        )
    _tell_known(items, dataset.training)
    return [_labelled(item, truth, extra, optional) for item in items]


def inference_items(
    dataset_dir: str | os.PathLike[str],
    kind: str,
    optional: Sequence[str] = (),
    output_dir: str | os.PathLike[str] | None = None,
    results: Sequence[str] = (),
    skip_existing: bool = False,
) -> list[dict[str, str]]:
    """All items of ``testing``; without a ``dataset.json``, every image in the folder.

    Under ``torchrun`` each process gets its share of them: every result is a file of its own, so that nothing has to be
    gathered.

    Parameters
    ----------
    dataset_dir, optional
        As for `training_items`.
    kind : {"volume", "picture", "slide"}
        Kind of the images, which determines the endings of their names.
    output_dir : path
        Folder of the results, needed with ``skip_existing``.
    results : sequence of str
        How the names of an image's results go on after its stem, such as ``_mask.nii.gz`` or ``_instances.*``.
    skip_existing : bool
        Leave out images all of whose results are there.

    Raises
    ------
    InputError
        If there is nothing to segment, or two results would have the same name.
    """
    items = _images(Path(dataset_dir), kind, optional)
    by_name((stem(item["image"]), Path(item["image"])) for item in items)  # refuses two of one name
    # shared out before finished ones are left out: processes look at different times, and would share out otherwise
    items = items[int(os.environ.get("RANK", 0)) :: int(os.environ.get("WORLD_SIZE", 1))]
    if skip_existing:
        if output_dir is None:
            raise TypeError("skip_existing needs output_dir")
        left = [item for item in items if not _is_finished(item["image"], Path(output_dir), results)]
        logger.info("%d of %d images have their results already", len(items) - len(left), len(items))
        items = left
    return items


def _images(root: Path, kind: str, optional: Sequence[str]) -> list[dict[str, str]]:
    if (root / DATALIST).exists():
        items = read_dataset(root).testing
        if not items:
            raise InputError(f"{root / DATALIST}: nothing under 'testing' to segment; add images there")
        return [_values(item, "image", *(key for key in optional if key in item)) for item in items]
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give --dataset_dir a folder with {DATALIST} or images")
    files = [p for p in root.iterdir() if p.name[0] != "." and (p.is_file() or leads_nowhere(p))]
    found = {p for p in files if p.name.lower().endswith(SUFFIXES[kind])}
    others = [p.name for p in files if p not in found and p.name.lower().endswith(IMAGE_ENDINGS)]
    if found and others:
        logger.warning(
            "%s: %d of another format left out, such as %s; this bundle reads %s",
            root,
            len(others),
            min(others),
            ", ".join(SUFFIXES[kind]),
        )
    results = own_results(found)
    if results:
        logger.info("%s: %d images are results, such as %s, and are left out", root, len(results), min(results).name)
    images = sorted(found - results)
    if not images:
        raise InputError(
            f"{root}: neither {DATALIST} nor an image ({', '.join(SUFFIXES[kind])}) in it; put images there, or "
            "convert the data"
        )
    return [{"image": str(path)} for path in images]


def _is_finished(image: str, output_dir: Path, results: Sequence[str]) -> bool:
    return all(any(output_dir.glob(f"{glob.escape(stem(image))}{ending}")) for ending in results)


def _labelled(item: Item, truth: Sequence[str], extra: Sequence[str], optional: Sequence[str]) -> dict[str, str]:
    """What the transforms read, with the best complete truth under ``label``."""
    values = _values(item, "image", *extra, *(key for key in optional if key in item))
    return values | {"label": str(item.file(_complete_truth(item, truth)[0]))}


def _values(item: Item, *keys: str) -> dict[str, str]:
    """Only what the transforms read: MONAI takes further keys such as ``label_source`` for metadata of ``label``."""
    return {key: str(item.file(key)) if key in FILE_KEYS or key not in item else item.entry[key] for key in keys}


def _complete_truth(item: Item, truth: Sequence[str]) -> list[str]:
    return [key for key in truth if key in item and (key != "label" or item.is_complete)]


def _with_truth(listed: Sequence[Item], truth: Sequence[str]) -> list[Item]:
    """Items that have a complete truth."""
    labelled = [item for item in listed if any(key in item for key in truth)]
    items = [item for item in labelled if _complete_truth(item, truth)]
    if len(items) < len(labelled):
        logger.warning(
            "%d of %d labelled images are left out: only single slices of them are annotated",
            len(labelled) - len(items),
            len(labelled),
        )
    return items


def _tell_known(items: Sequence[Item], trained: Sequence[Item]) -> None:
    """Warn where images that scores are measured on are ones that a network is trained on, as no converter has it."""
    places = {item.image.resolve() for item in trained}
    known = [item for item in items if item.image.resolve() in places]
    if known:
        logger.warning(
            "%s: %d of %d images to measure on, such as %s, are also trained on, so the scores are too good; list "
            "every image once",
            known[0].dataset,
            len(known),
            len(items),
            known[0].name,
        )


def _check_fold(items: Sequence[Item], fold: int | str, dataset_dir: str | os.PathLike[str]) -> None:
    """Refuse a fold that no item belongs to: a training would validate on nothing."""
    folds = sorted({item.fold for item in items})
    if fold != "none" and fold not in folds:
        source = Path(dataset_dir, DATALIST)
        raise InputError(f"{source}: no completely labelled image in fold {fold}; there are folds {folds}")
