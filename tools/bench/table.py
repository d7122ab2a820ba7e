"""The table that every benchmark prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

__all__ = ["Row", "align_columns", "as_text"]


@dataclass(frozen=True)
class Row:
    """One measurement; empty where a column does not apply."""

    what: str
    ours: str
    other: str = ""
    ratio: str = ""
    target: str = ""
    met: str = ""


def as_text(rows: Sequence[Row]) -> str:
    """Aligned columns under a line of headings."""
    return align_columns([tuple(field.name for field in fields(Row)), *map(astuple, rows)])


def align_columns(lines: Sequence[Sequence[str]]) -> str:
    """Lines of equally many cells as text, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
