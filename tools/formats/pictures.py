"""Pictures of two axes as OME-TIFF that tells the size of its pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from tools.formats.scenes import Spacing

__all__ = ["write_picture"]


def write_picture(path: Path, pixels: np.ndarray, spacing: Spacing = (None, None, None)) -> None:
    """Write a picture.

    Parameters
    ----------
    path : Path
        Ends in ``.tif`` or ``.tiff``.
    pixels : ndarray, shape (Y, X) or (Y, X, 3)
        Of any type.
    spacing : tuple of float or None
        Size of a voxel in µm as (Z, Y, X).
    """
    _, height, width = spacing
    about: dict[str, Any] = {"axes": "YXS" if pixels.ndim == 3 else "YX"}
    for axis, size in (("Y", height), ("X", width)):
        if size is not None:
            about |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
    photometric = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(path, pixels, ome=True, photometric=photometric, metadata=about, bigtiff=pixels.nbytes > 3 << 30)
