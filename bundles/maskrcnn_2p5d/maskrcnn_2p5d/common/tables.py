"""CSV files, written whole or not at all."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from .files import replacing

__all__ = ["write_table"]

logger = logging.getLogger(__name__)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[float]], *, digits: int = 6) -> None:
    """Write a CSV file with a header; numbers that are not whole get so many significant digits."""
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(
            [f"{value:.{digits}g}" if isinstance(value, float) else value for value in row] for row in rows
        )
    logger.info("wrote %s", path)
