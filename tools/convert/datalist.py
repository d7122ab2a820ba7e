"""Splits of a dataset that is made, and the one that was there before."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from common.datalist import DATALIST, read_dataset
from common.errors import InputError

__all__ = ["assign_folds", "check_replaceable", "chosen_units"]

logger = logging.getLogger(__name__)


def assign_folds(groups: Iterable[str], num_folds: int) -> dict[str, int]:
    """Deal groups out to folds, round robin in sorted order, so that no group is in two folds.

    Parameters
    ----------
    groups : iterable of str
        Units that must not leak: sequences, subjects, slides.
    num_folds : int
        Number of folds, at least 1; where there are fewer groups, one fold per group and a warning.

    Returns
    -------
    dict of str to int
        Group -> fold in [0, num_folds).

    Raises
    ------
    InputError
        If ``num_folds`` is below 1.
    """
    if num_folds < 1:
        raise InputError(f"{num_folds} folds, expected at least 1; give --folds 5 or leave it out")
    groups = sorted(set(groups))
    if groups and len(groups) < num_folds:
        logger.warning(
            "%d folds wanted, but only %d groups to split: %d folds made", num_folds, len(groups), len(groups)
        )
    return {group: index % min(num_folds, len(groups)) for index, group in enumerate(groups)}


def chosen_units(units: Iterable[str], test: Sequence[str], source: Path, *, kind: str) -> set[str]:
    """Units that go under testing.

    Parameters
    ----------
    units : iterable of str
        All there are in the source.
    test : sequence of str
        Some of them, or ``["all"]``.
    source : Path
        For the message.
    kind : str
        What they are: sequence, subject, ...

    Raises
    ------
    InputError
        If one is unknown.
    """
    known = sorted(set(units))
    for unit in test:
        if unit not in known and list(test) != ["all"]:
            raise InputError(f"{source}: --test {unit}: no such {kind}; there are {', '.join(known[:9])}, or all")
    return set(known) if list(test) == ["all"] else set(test)


def check_replaceable(folder: Path) -> None:
    """Refuse a folder with a dataset.json that no converter wrote.

    Parameters
    ----------
    folder : Path
        Need not exist.

    Raises
    ------
    InputError
        If it holds a dataset.json that is not a datalist with a spacing, a patch size or a licence.
    """
    path = folder / DATALIST
    if not path.exists():
        return
    try:
        known = bool(set(read_dataset(folder).facts) & {"spacing", "patch_size", "licence"})
    except InputError:
        known = False
    if not known:
        raise InputError(f"{path}: not written by this converter; remove it or choose another folder")
