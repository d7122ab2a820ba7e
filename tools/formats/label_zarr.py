"""Labels as OME-Zarr, with lower resolutions for large ones."""

import itertools
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import ome_zarr.writer
import zarr

from common.files import partial_path
from tools.formats.saving import About, smallest_type

__all__ = ["write", "write_parts"]

LARGE_PX = 2048  # along Y or X, from which on there are lower resolutions


def write(path: Path, labels: np.ndarray, about: About) -> None:
    """Write labels as an image of their own that says that they are labels; what was there is replaced."""
    pixels = smallest_type(labels)
    write_parts(path, pixels.shape, pixels.dtype, [((slice(None),) * pixels.ndim, pixels)], about)


def write_parts(
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype,
    parts: Iterable[tuple[tuple[slice, ...], np.ndarray]],
    about: About,
    *,
    chunks: tuple[int, ...] | Literal["auto"] = "auto",
    remarks: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """As `write`, of labels that come part by part; not more than one is kept.

    Parameters
    ----------
    path : Path
    shape, dtype
        Of all labels.
    parts : iterable of (tuple of slice, ndarray)
        Where a part lies, and its labels; what none covers is 0.
    about : About
    chunks : tuple of int
        Of the store.
    remarks : mapping of str to JSON
        Further attributes.
    """
    partial = partial_path(path)
    try:
        group = zarr.open_group(partial, mode="w")
        level = group.create_array("s0", shape=shape, dtype=dtype, chunks=chunks, dimension_names=_names(len(shape)))
        for where, labels in parts:
            level[where] = labels.astype(dtype)
        levels = [level]
        while max(levels[-1].shape[-2:]) > LARGE_PX:
            levels.append(_halved(group, f"s{len(levels)}", levels[-1]))
        _describe(group, levels, about, remarks)
        shutil.rmtree(path, ignore_errors=True)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _halved(group: zarr.Group, name: str, level: zarr.Array) -> zarr.Array:
    """Every other pixel along Y and X, chunk by chunk."""
    shape = (*level.shape[:-2], *(-(-side // 2) for side in level.shape[-2:]))
    chunks = tuple(min(pair) for pair in zip(level.chunks, shape, strict=True))
    half = group.create_array(name, shape=shape, dtype=level.dtype, chunks=chunks, dimension_names=_names(len(shape)))
    for start in itertools.product(*(range(0, side, step) for side, step in zip(shape, chunks, strict=True))):
        stop = [min(at + step, side) for at, step, side in zip(start, chunks, shape, strict=True)]
        scale = [1] * (len(shape) - 2) + [2, 2]
        where = tuple(slice(first * by, last * by, by) for first, last, by in zip(start, stop, scale, strict=True))
        half[tuple(map(slice, start, stop))] = level[where]  # no mean of numbers
    return half


def _describe(group: zarr.Group, levels: list[zarr.Array], about: About, remarks: Mapping[str, Any]) -> None:
    axes, scale = _axes(levels[0].ndim, about)
    full = [scale[axis["name"]] for axis in axes]
    datasets = [
        {
            "path": f"s{number}",
            "coordinateTransformations": [
                {"type": "scale", "scale": [*full[:-2], *(step * 2**number for step in full[-2:])]}
            ],
        }
        for number in range(len(levels))
    ]
    ome_zarr.writer.write_multiscales_metadata(group, datasets, axes=axes, name=about.image)
    about_group: dict[str, Any] = dict(group.attrs)
    group.attrs["ome"] = {**about_group["ome"], "image-label": {"version": "0.5"}}
    group.attrs.update(remarks)


def _axes(num_axes: int, about: About) -> tuple[list[dict[str, str]], dict[str, float]]:
    """Axes, with the unit where the size of a pixel is known, and that size, else 1."""
    axes, scale = [{"name": axis, "type": "space"} for axis in _names(num_axes)], {}
    for axis, size in zip(axes, about.spacing[-num_axes:], strict=True):
        scale[axis["name"]] = size or 1.0
        if size is not None:
            axis["unit"] = "micrometer"
    return axes, scale


def _names(num_axes: int) -> list[str]:
    return list("zyx"[-num_axes:])
