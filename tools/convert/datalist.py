"""dataset.json, the MONAI datalist that every bundle reads."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path

from common.errors import InputError
from common.files import replacing

__all__ = ["assign_folds", "check_replaceable", "write_datalist"]

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


def check_replaceable(path: Path) -> None:
    """Refuse a dataset.json that no converter wrote.

    Parameters
    ----------
    path : Path
        The file, which may not exist.

    Raises
    ------
    InputError
        If it exists and is not a datalist with a spacing, a patch size or a licence.
    """
    if not path.exists():
        return
    try:
        keys = set(json.loads(path.read_text()))
        known = {"name", "training", "testing"} <= keys and bool(keys & {"spacing", "patch_size", "licence"})
    except (ValueError, TypeError, OSError):
        known = False
    if not known:
        raise InputError(f"{path}: not written by this converter; remove it or choose another folder")


def write_datalist(path: Path, datalist: dict) -> None:
    """Write dataset.json under a temporary name that is then renamed.

    Parameters
    ----------
    path : Path
        File to write or replace.
    datalist : dict
        name, licence, training, testing, and what the converter adds, such as spacing or patch_size.
    """
    with replacing(path) as partial:
        partial.write_text(json.dumps(datalist, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
