# Copied from bundles/devonet_nsn/devonet_nsn/names.py: edit there, then run python -m tools vendor
"""Names of image files and of what is made from them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["IMAGE_SUFFIXES", "stem"]

IMAGE_SUFFIXES = (".nii.gz", ".nii")


def stem(path: str | os.PathLike) -> str:
    """File name without ``.nii`` or ``.nii.gz``."""
    return Path(path).name.removesuffix(".gz").removesuffix(".nii")
