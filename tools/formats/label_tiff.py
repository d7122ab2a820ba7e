"""Labels as OME-TIFF, which Fiji, QuPath and napari open with the size of its pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from common.files import replacing
from tools.formats.saving import About, smallest_type

__all__ = ["write"]


def write(path: Path, labels: np.ndarray, about: About) -> None:
    """Write labels (Y, X) or (Z, Y, X), in the smallest type that holds them."""
    axes = "ZYX"[-labels.ndim :]
    metadata: dict[str, Any] = {"axes": axes, "Name": about.image}
    for axis, size in zip("ZYX", about.spacing, strict=True):
        if size is not None and axis in axes:
            metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
    pixels = smallest_type(labels)
    with replacing(path) as partial:
        tifffile.imwrite(
            partial,
            pixels,
            ome=True,
            photometric="minisblack",
            compression="zlib",
            metadata=metadata,
            bigtiff=pixels.nbytes > 3 << 30,
        )
