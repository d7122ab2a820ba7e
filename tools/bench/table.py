"""The table that every benchmark prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

__all__ = ["Row", "as_text"]


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
    lines = [tuple(field.name for field in fields(Row)), *map(astuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
