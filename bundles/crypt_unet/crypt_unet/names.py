"""Names of slides and of what is made from them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["IMAGE_SUFFIXES", "stem"]

IMAGE_SUFFIXES = (".ome.tiff", ".ome.tif", ".tiff", ".tif", ".svs")


def stem(path: str | os.PathLike) -> str:
    """File name without ``.tif``, ``.tiff``, ``.ome.tif``, ``.ome.tiff`` or ``.svs``, in capitals or not."""
    name = Path(path).name
    suffix = next((suffix for suffix in IMAGE_SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]
