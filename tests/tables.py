"""Tables that a run left."""

import csv
from pathlib import Path

__all__ = ["read_records", "read_rows"]


def read_rows(path: Path) -> list[list[str]]:
    """Rows of a CSV file, the heading first where there is one."""
    with path.open(newline="") as file:
        return list(csv.reader(file))


def read_records(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file by its heading."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
