"""JSON files that hold one object, as configs, metadata, sidecars and search spaces do."""

import json
import os
from pathlib import Path
from typing import Any

from .errors import InputError

__all__ = ["read_json"]


def read_json(path: str | os.PathLike[str], advice: str = "correct the file or its path") -> dict[str, Any]:
    """Content of a JSON file that holds one object; ``advice`` is what an error asks the user to do.

    InputError if the file is missing, cannot be read, is no JSON, or holds something else than an object.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; {advice}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a readable JSON ({error}); {advice}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: a {type(content).__name__}, expected fields with names in {{}}; {advice}")
    return content
