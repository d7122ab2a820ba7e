"""CSV files, written whole or not at all; their text is text in a spreadsheet too."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace

from .files import replacing

__all__ = ["format_table", "from_cell", "to_cell", "write_table"]

logger = logging.getLogger(__name__)

# what a spreadsheet computes, with and without the apostrophes that say that it is text
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


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
    writer = csv.writer(
        SimpleNamespace(write=lines.append), delimiter=delimiter
    )  # quotes what its line ends are made of
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
    with replacing(path) as partial:
        partial.write_text(
            format_table(columns, rows, digits=digits, delimiter=delimiter), encoding="utf-8", newline=""
        )
    logger.info("wrote %s", path)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()
