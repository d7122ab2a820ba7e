"""Where the bundles are, and their metadata; a bundle is a folder with configs/metadata.json."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.json_file import read_json

__all__ = ["METADATA", "VARIABLE", "WEIGHTS", "all_bundles", "bundles_dir", "find_bundle", "read_metadata"]

METADATA, WEIGHTS = "configs/metadata.json", "models/model.pt"
VARIABLE = "MICROSCOPY_BUNDLES"  # environment variable: a folder of bundles instead of the collection's own


def bundles_dir() -> Path:
    """The folder of all bundles: bundles/ beside this package, or what the environment variable names."""
    return Path(os.environ.get(VARIABLE) or Path(__file__).resolve().parents[1] / "bundles")


def all_bundles() -> list[Path]:
    """Folders of all bundles, sorted by name."""
    return sorted(path.parents[1] for path in bundles_dir().glob(f"*/{METADATA}"))


def find_bundle(name: str, *, further: Sequence[str] = ()) -> Path:
    """Folder of a bundle, by its name in bundles/ or its path; InputError, with a close name, if none is there.

    ``further`` are names that would also have been understood, for the message.
    """
    for folder in (bundles_dir() / name, Path(name)):
        if (folder / METADATA).is_file():
            return folder
    names = [*(bundle.name for bundle in all_bundles()), *further]
    word = Path(name).name
    closest = difflib.get_close_matches(word, names, n=1, cutoff=0.5) or [one for one in names if word and word in one]
    there = f"did you mean {closest[0]}? There" if closest else "there"
    hint = f"{there} are {', '.join(names)}" if names else f"{bundles_dir()} holds none"
    raise InputError(f"{name}: neither a bundle's name nor a folder with {METADATA}; {hint}")


def read_metadata(bundle: Path) -> dict[str, Any]:
    """Content of metadata.json; InputError if it is missing, or holds no JSON object."""
    return read_json(bundle / METADATA, f"is {bundle} a bundle's folder?")
