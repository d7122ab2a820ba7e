"""Reports as blocks, and those as Markdown or as one HTML file that holds its pictures."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "Heading", "Picture", "Table", "Text", "as_html", "as_markdown"]

STYLE = """\
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 75em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: .25em .8em; text-align: left; border-bottom: 1px solid #ddd; }
th { border-bottom: 2px solid #888; }
tr:hover td { background: #f4f4f4; }
img { max-width: 100%; }
figure { margin: 1em 0; }
figcaption { color: #555; }
code { background: #f4f4f4; padding: 0 .2em; }"""


@dataclass(frozen=True)
class Heading:
    """A title of level 1, or of a section, 2."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph; what stands between backticks is code."""

    text: str


@dataclass(frozen=True)
class Table:
    """Cells of text."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    @classmethod
    def of(cls, records: Iterable[Mapping[str, str]]) -> Table:
        """A table of records, one at least, whose keys are the columns."""
        first, *others = records
        return cls(list(first), [list(record.values()) for record in (first, *others)])


@dataclass(frozen=True)
class Picture:
    """A PNG file and what it shows."""

    path: Path
    caption: str


Block = Heading | Text | Table | Picture


def as_markdown(blocks: Sequence[Block], folder: Path = Path()) -> str:
    """Text with tables that can be read as they are; pictures are links relative to ``folder``."""
    return "\n\n".join(_markdown(block, folder) for block in blocks)


def as_html(blocks: Sequence[Block]) -> str:
    """A page that needs no other file; its title is the first heading."""
    title = next((block.text for block in blocks if isinstance(block, Heading)), "")
    body = "\n".join(map(_html, blocks))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _markdown(block: Block, folder: Path) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {block.text}"
    if isinstance(block, Text):
        return block.text
    if isinstance(block, Table):
        return _aligned(block)
    return f"![{block.caption}]({block.path.relative_to(folder).as_posix()})"


def _aligned(table: Table) -> str:
    columns, *rows = [[cell.replace("|", "\\|") for cell in line] for line in (table.columns, *table.rows)]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    ruler = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in (columns, ruler, *rows)
    )


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{html.escape(block.text)}</h{block.level}>"
    if isinstance(block, Text):
        return f"<p>{_inline(block.text)}</p>"
    if isinstance(block, Table):
        head, *rows = (_row(cells, tag) for cells, tag in [(block.columns, "th"), *((row, "td") for row in block.rows)])
        return f"<table>\n<thead>{head}</thead>\n<tbody>\n{chr(10).join(rows)}\n</tbody>\n</table>"
    content = base64.b64encode(block.path.read_bytes()).decode("ascii")
    caption = html.escape(block.caption)
    image = f'<img alt="{caption}" src="data:image/png;base64,{content}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{_inline(cell)}</{tag}>" for cell in cells) + "</tr>"


def _inline(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text))
