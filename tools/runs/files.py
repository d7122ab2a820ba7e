"""Files that runs read and leave."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from common.errors import InputError
from common.files import replacing

__all__ = ["is_newer", "read_json", "write_json", "write_text"]


def is_newer(path: Path, sources: Iterable[Path]) -> bool:
    """Whether a file is there, and so are all that it was made from, none of them changed since."""
    dates = [file.stat().st_mtime_ns if file.is_file() else None for file in (path, *sources)]
    return None not in dates and dates[0] == max(dates)


def read_json(path: Path) -> dict:
    """Content of a JSON file; InputError if it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; give a bundle, or a converted dataset") from error
    except ValueError as error:
        raise InputError(f"{path}: not a JSON file ({error}); correct it, or convert the data again") from error


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all; one that holds this text already keeps its date."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, content: object) -> None:
    """The same for JSON, in which NaN is an error."""
    write_text(path, json.dumps(content, indent=4, allow_nan=False) + "\n")
