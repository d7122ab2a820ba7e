"""Prompts on disk: ``*_prompts.tsv``, a table as BIDS writes them."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .common.errors import InputError
from .common.tables import write_table
from .prompts import Prompts, check_inside

__all__ = ["COLUMNS", "read_prompts", "write_prompts"]

COLUMNS = ("id", "x", "y", "x_min", "y_min", "x_max", "y_max")
UNKNOWN = "n/a"  # as BIDS has it
_POINT, _BOX = slice(1, 3), slice(3, 7)


def write_prompts(path: Path, prompts: Prompts) -> None:
    """Write a table of prompts, `COLUMNS`; whole or not at all.

    Places are pixels of the image, centres of pixels being integers; boxes run from the first to the last pixel inside.
    """
    rows = np.empty((len(prompts.ids), len(COLUMNS)))
    rows[:, 0], rows[:, _POINT], rows[:, _BOX] = prompts
    cells = ([UNKNOWN if math.isnan(value) else value for value in row] for row in rows.tolist())
    write_table(path, COLUMNS, cells, digits=10, delimiter="\t")


def read_prompts(path: Path, shape: Sequence[int] | None = None) -> Prompts:
    """Read a table of prompts.

    Parameters
    ----------
    path : Path
        Tab-separated, with at least `COLUMNS` in any order. A point, or a box, may be ``n/a``; not both.
    shape : tuple of int, optional
        (Y, X) of the image, in which the prompts have to lie.

    Returns
    -------
    Prompts
        Arrays of length 0 from a table without rows.

    Raises
    ------
    InputError
        If the file is missing, lacks columns, holds something else than numbers, ids twice or below 1, half a point
        or box, a prompt that is neither, a box from right to left, or a prompt outside the image.
    """
    rows = np.array(_read_rows(path), float).reshape(-1, len(COLUMNS))
    prompts = Prompts(rows[:, 0].astype(np.int64), *(rows[:, part].astype(np.float32) for part in (_POINT, _BOX)))
    _check(prompts, path)
    if shape is not None:
        check_inside(prompts, shape, str(path))
    return prompts


def _read_rows(path: Path) -> list[list[float]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter="\t")
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise InputError(
                    f"{path}: no column {', '.join(missing)}; expected {', '.join(COLUMNS)}, separated by tabs"
                )
            return [[_number(row[column], column, path, reader.line_num) for column in COLUMNS] for row in reader]
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; give every image a table of prompts named after it") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); expected a tab-separated table in UTF-8") from error


def _number(text: str | None, column: str, path: Path, line: int) -> float:
    text = (text or "").strip()
    if text == UNKNOWN and column != "id":
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (column == "id" and (value < 1 or value != int(value))):
        kind = "a whole number from 1" if column == "id" else f"a number of pixels or {UNKNOWN}"
        raise InputError(f"{path}: {text!r} as {column} in line {line}, expected {kind}; correct the table")
    return value


def _check(prompts: Prompts, path: Path) -> None:
    names, counts = np.unique(prompts.ids, return_counts=True)
    if (counts > 1).any():
        raise InputError(f"{path}: id {names[counts > 1][0]} twice, expected one line per fibre; renumber them")
    no_point, no_box = (np.isnan(places) for places in (prompts.points, prompts.boxes))
    half = (no_point.any(1) & ~no_point.all(1)) | (no_box.any(1) & ~no_box.all(1)) | (no_point.any(1) & no_box.any(1))
    if half.any():
        raise InputError(f"{path}: id {prompts.ids[half][0]} has no whole point or box; give all of one of them")
    turned = (prompts.boxes[:, :2] > prompts.boxes[:, 2:]).any(axis=1)
    if turned.any():
        raise InputError(f"{path}: the box of id {prompts.ids[turned][0]} ends before it begins; swap min and max")
