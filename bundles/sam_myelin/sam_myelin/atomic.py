# Copied from tools/atomic.py: edit there, then run python -m tools vendor
"""Files that are either whole or not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path`` to write to; rename it to ``path`` when the block ends well.

    The temporary name starts with a dot and keeps the suffix, from which many writers infer the format. A process that
    is killed leaves it behind; the next one that writes the same file takes it over.

    Parameters
    ----------
    path : Path
        File to write or replace; its folder exists.

    Yields
    ------
    Path
        Name to write to, in the same folder.
    """
    partial = path.with_name(f".partial-{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
