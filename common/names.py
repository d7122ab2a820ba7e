"""Names of image files and of what is made from them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["SUFFIXES", "stem"]

# kind of image -> how its files' names end; the first is what we write
SUFFIXES = {
    "volume": (".nii.gz", ".nii"),
    "picture": (".png", ".tif", ".tiff"),
    "slide": (".tiff", ".tif", ".ome.tiff", ".ome.tif", ".svs"),
}
_LONGEST_FIRST = sorted(
    {".ome.btf", ".btf", *(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)}, key=len, reverse=True
)


def stem(path: str | os.PathLike[str]) -> str:
    """File name without the ending of an image, such as ``.nii.gz`` or ``.ome.tif``, in capitals or not."""
    name = Path(path).name
    suffix = next((suffix for suffix in _LONGEST_FIRST if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]
