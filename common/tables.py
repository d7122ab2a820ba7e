"""CSV files, written whole or not at all; their text is text in a spreadsheet too."""

import csv
import logging
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace

from .errors import InputError
from .files import holding, write_text

__all__ = ["adopt_row", "format_table", "from_cell", "put_row", "to_cell", "write_table"]

logger = logging.getLogger(__name__)

# what a spreadsheet computes, wide letters of Asia included, with and without the apostrophes that say that it is text
_FORMULA = re.compile(r"'*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n]")


def to_cell(value: object) -> object:
    """A value as it is written: an apostrophe before text that a spreadsheet would compute as a formula.

    Numbers stay as they are, also those that are given as text. `from_cell` gives the text back.

    Examples
    --------
    >>> to_cell("=1+1"), to_cell("-2.5"), to_cell("slide-1"), from_cell("'=1+1")
    ("'=1+1", '-2.5', 'slide-1', '=1+1')
    """
    if not isinstance(value, str) or not _FORMULA.match(value) or _is_number(value):
        return value
    return f"'{value}"


def from_cell(text: str) -> str:
    """The text of a cell that `to_cell` wrote."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def format_table(
    columns: Sequence[str], rows: Iterable[Iterable[object]], *, digits: int | None = 6, delimiter: str = ","
) -> str:
    """A table as text with a header; see `write_table`."""
    lines: list[str] = []  # the writer quotes what its own line ends are made of, so a carriage return too
    writer = csv.writer(SimpleNamespace(write=lines.append), delimiter=delimiter)
    writer.writerow(map(to_cell, columns))
    writer.writerows(
        [f"{value:.{digits}g}" if isinstance(value, float) and digits else to_cell(value) for value in row]
        for row in rows
    )
    return "".join(line.removesuffix("\r\n") + "\n" for line in lines)


def write_table(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Iterable[object]],
    *,
    digits: int | None = 6,
    delimiter: str = ",",
) -> None:
    """Write a CSV file with a header.

    Parameters
    ----------
    path : Path
        Its folder exists.
    columns : sequence of str
    rows : iterable of iterable
        Numbers and text.
    digits : int or None
        Significant digits of numbers that are not whole; all of them with None.
    delimiter : str
        Between columns.
    """
    write_text(path, format_table(columns, rows, digits=digits, delimiter=delimiter))
    logger.info("wrote %s", path)


def put_row(path: Path, columns: Sequence[str], row: Sequence[object], *, thing: str) -> None:
    """Add a row to a CSV file, or replace it; all other rows stay, also those that other processes add.

    Parameters
    ----------
    path : Path
        File with these columns, which need not exist yet. Its rows are ordered by the first column.
    columns : sequence of str
    row : sequence
        The first value identifies the row.
    thing : str
        What a row is of, for messages.

    Raises
    ------
    InputError
        If there is a file that is not such a table.
    """
    with holding(path.parent):
        rows = (_read_rows(path, columns, thing) if path.exists() else {}) | {str(row[0]): row}
        write_table(path, columns, [rows[name] for name in sorted(rows)])


def adopt_row(path: Path, source: Path, name: str, *, thing: str) -> None:
    """Put the only row of a CSV file into another one, as the row of that name; see `put_row`."""
    columns, row = ([from_cell(value) for value in line] for line in _read_lines(source))
    put_row(path, columns, (name, *row[1:]), thing=thing)


def _read_lines(path: Path) -> list[list[str]]:
    """Lines of a CSV file; cells may be of any length, as run lengths of a slide are."""
    limit = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a readable CSV ({error}); move it away, or give another --output_dir") from error
    finally:
        csv.field_size_limit(limit)


def _read_rows(path: Path, columns: Sequence[str], thing: str) -> dict[str, Sequence[object]]:
    """Rows of a table by their first value."""
    header, *rows = _read_lines(path) or [[]]
    found = "columns " + (",".join(header)[:100] or "missing")
    if header == list(columns):
        short = (f"line {n} has {len(row)} values" for n, row in enumerate(rows, 2) if len(row) != len(columns))
        found = next(short, "")
    if not found and len({name for name, *_ in rows}) < len(rows):
        found = f"{'an' if columns[0][0] in 'aeiou' else 'a'} {columns[0]} has two rows"
    if found:
        expected = f"expected {','.join(columns)} and a row per {thing}"
        raise InputError(f"{path}: {found}, {expected}; move it away, or give another --output_dir")
    return {from_cell(row[0]): [from_cell(value) for value in row] for row in rows}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()
