"""Run lengths of whole slides, gathered in one CSV file."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .common.errors import InputError
from .common.files import holding
from .common.labels.run_lengths import encode_rle, parse_rle
from .common.tables import from_cell, write_table
from .crypts import Crypt, paint

__all__ = ["COLUMNS", "encode_crypts", "put_run_lengths"]

COLUMNS = ["id", "predicted"]
STRIP = 512


def encode_crypts(crypts: Sequence[Crypt], shape: tuple[int, int], *, strip: int = STRIP) -> str:
    """Run lengths of the crypts' mask, made strip by strip.

    Parameters
    ----------
    crypts : sequence of Crypt
        In slide pixels.
    shape : tuple of int
        Shape (Y, X) of the slide.
    strip : int
        Columns that are in memory at once.

    Returns
    -------
    str
        What `encode_rle` makes of the whole mask.
    """
    height, width = shape
    starts, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for left in range(0, width, strip):
        mask = paint(crypts, 0, left, height, min(strip, width - left))
        in_strip = parse_rle(encode_rle(mask), mask.shape)
        starts.append(in_strip[0] + left * height)
        lengths.append(in_strip[1])
    return _join(np.concatenate(starts), np.concatenate(lengths))


def put_run_lengths(path: Path, identifier: str, encoding: str) -> None:
    """Add a slide's row to a CSV file, or replace it; all other rows stay, also those that other processes add.

    Parameters
    ----------
    path : Path
        File with the columns id and predicted, which need not exist yet.
    identifier : str
        Name of the slide.
    encoding : str
        Its run lengths.

    Raises
    ------
    InputError
        If there is a file that is not such a table.
    """
    with holding(path.parent):
        rows = (_read_rows(path) if path.exists() else {}) | {identifier: encoding}
        write_table(path, COLUMNS, sorted(rows.items()))


def _join(starts: np.ndarray, lengths: np.ndarray) -> str:
    """Text of runs counted from 0, ascending, of which those that touch become one."""
    if not starts.size:
        return encode_rle(np.zeros((1, 1), bool))
    ends = starts + lengths
    is_gap = ends[:-1] < starts[1:]
    starts, ends = starts[np.append(True, is_gap)], ends[np.append(is_gap, True)]
    return " ".join(map(str, np.column_stack([starts + 1, ends - starts]).ravel().tolist()))


def _read_rows(path: Path) -> dict[str, str]:
    """Run lengths by id."""
    limit = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a readable CSV ({error}); move it away, or give another --output_dir") from error
    finally:
        csv.field_size_limit(limit)
    found = "columns " + (",".join(header)[:100] or "missing")
    if header == COLUMNS:
        found = next((f"line {n} has {len(row)} values" for n, row in enumerate(rows, 2) if len(row) != 2), "")
    if not found and len(dict(rows)) < len(rows):
        found = "an id has two rows"
    if found:
        expected = f"expected {','.join(COLUMNS)} and a row per slide"
        raise InputError(f"{path}: {found}, {expected}; move it away, or give another --output_dir")
    return {from_cell(identifier): encoding for identifier, encoding in rows}
