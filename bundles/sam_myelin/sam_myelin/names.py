# Copied from bundles/swinunet_livecell/swinunet_livecell/names.py: edit there, then run python -m tools vendor
"""Names of images and of what is made from them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["IMAGE_SUFFIXES", "stem"]

IMAGE_SUFFIXES = (".png", ".tif", ".tiff")


def stem(path: str | os.PathLike) -> str:
    """File name without ``.png``, ``.tif`` or ``.tiff``, in capitals or not."""
    path = Path(path)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name
