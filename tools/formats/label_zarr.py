"""Labels as OME-Zarr, with lower resolutions for large ones."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import ome_zarr.writer
import zarr

from common.files import partial_path
from tools.formats.saving import About, smallest_type

__all__ = ["write"]

LARGE_PX = 2048  # along Y or X, from which on there are lower resolutions


def write(path: Path, labels: np.ndarray, about: About) -> None:
    """Write labels as an image of their own that says that they are labels; what was there is replaced."""
    partial = partial_path(path)
    try:
        _write(partial, smallest_type(labels), about)
        shutil.rmtree(path, ignore_errors=True)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(path: Path, labels: np.ndarray, about: About) -> None:
    axes = [{"name": axis, "type": "space"} for axis in "zyx"[-labels.ndim :]]
    scale = {}
    for axis, size in zip(axes, about.spacing[-labels.ndim :], strict=True):
        scale[axis["name"]] = size or 1.0
        if size is not None:
            axis["unit"] = "micrometer"
    pyramid = [labels]
    while max(pyramid[-1].shape[-2:]) > LARGE_PX:
        pyramid.append(pyramid[-1][..., ::2, ::2])  # no mean of numbers
    group = zarr.open_group(path, mode="w")
    ome_zarr.writer.write_multiscale(pyramid, group, axes=axes, scale=scale, name=about.image)
    about_group: dict[str, Any] = dict(group.attrs)
    group.attrs["ome"] = {**about_group["ome"], "image-label": {"version": "0.5"}}
