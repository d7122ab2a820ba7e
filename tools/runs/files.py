"""Files that runs read and leave."""

import glob
import json
from collections.abc import Iterable
from pathlib import Path

from common.errors import InputError
from common.files import write_text as write_anew
from common.names import stem

__all__ = ["find_result", "is_newer", "write_json", "write_text"]


def find_result(folder: Path, image: str | Path, kind: str) -> Path:
    """What an inference wrote of an image, ``<image stem>_<kind>.<ext>``; InputError if it is not there."""
    name = stem(image)
    found = sorted(folder.glob(f"{glob.escape(name)}_{kind}.*"))
    if not found:
        raise InputError(f"{folder}: no {name}_{kind}.* of {image}; delete the folder and run again")
    return found[0]


def is_newer(path: Path, sources: Iterable[Path]) -> bool:
    """Whether a file is there, and so are all that it was made from, none of them changed since."""
    files = [path, *sources]
    return all(file.is_file() for file in files) and path.stat().st_mtime_ns == max(
        file.stat().st_mtime_ns for file in files
    )


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all; one that holds this text already keeps its date."""
    if not path.is_file() or path.read_bytes() != text.encode():
        write_anew(path, text)


def write_json(path: Path, content: object) -> None:
    """`write_text` of JSON, in which NaN is an error."""
    write_text(path, json.dumps(content, indent=4, allow_nan=False) + "\n")
