"""Pixels of the files that programs take and give; imported by the scripts beside it."""

from pathlib import Path

import nibabel as nib
import numpy as np
import tifffile
from PIL import Image

__all__ = ["describe", "read"]


def read(path: Path) -> np.ndarray:
    """Pixels of a file, (X, Y, Z) of volumes and (Y, X) or (Y, X, C) of pictures."""
    if path.name.endswith((".nii", ".nii.gz")):
        return np.asarray(nib.load(path).dataobj)
    return tifffile.imread(path) if path.suffix in (".tif", ".tiff") else np.asarray(Image.open(path))


def describe(labels: np.ndarray, image: Path) -> str:
    """A few words about a label map.

    Raises
    ------
    ValueError
        If it is none, is empty, or lies on another grid than its image.
    """
    shape = read(image).shape[: labels.ndim]
    if labels.shape != shape or labels.dtype.kind not in "iu" or not labels.any():
        raise ValueError(f"{labels.dtype} {labels.shape}, up to {labels.max(initial=0)}, of an image {shape}")
    return f"{labels.dtype} on the image's grid, {len(np.unique(labels)) - 1} labels"
