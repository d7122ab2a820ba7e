"""What resizing a whole image to the network's size costs, however good the network: the truth there and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from common.errors import InputError
from tools.bench.side_by_side import iou
from tools.bench.table import Row

__all__ = ["compare_ceilings", "read_foreground", "squash_and_back"]

MODES = ("nearest", "nearest-exact")


def squash_and_back(mask: np.ndarray, size: Sequence[int], *, mode: str) -> np.ndarray:
    """A mask after it has been resized and resized back.

    Parameters
    ----------
    mask : ndarray of bool, shape (Y, X)
    size : sequence of int
        Height and width in between.
    mode : str
        nearest, which takes the upper left pixel and so moves the mask, or nearest-exact, which takes the middle one.

    Returns
    -------
    ndarray of bool, shape (Y, X)
    """
    small = F.interpolate(torch.from_numpy(mask)[None, None].float(), size=tuple(size), mode=mode)
    return F.interpolate(small, size=mask.shape, mode=mode)[0, 0].numpy() > 0


def compare_ceilings(items: Sequence[Mapping[str, Path]], size: Sequence[int]) -> list[Row]:
    """Best IoU that a mask can have that was resized, at the original size.

    Parameters
    ----------
    items : sequence of mapping
        Paths, ``label`` where there is a truth; others are passed over.
    size : sequence of int
        Height and width in between.

    Returns
    -------
    list of Row
        One per mode; none without a truth.
    """
    masks = [read_foreground(item["label"]) for item in items if "label" in item]
    rows = []
    for mode in MODES if masks else ():
        mean = float(np.mean([iou(squash_and_back(mask, size, mode=mode), mask) for mask in masks]))
        what = f"truth resized to {' x '.join(map(str, size))} and back, {mode}: mean IoU, n = {len(masks)}"
        rows.append(Row(what, "1.0000", f"{mean:.4f}", f"{1 - mean:+.4f}"))
    return rows


def read_foreground(path: Path) -> np.ndarray:
    """All objects of a label map, bool (Y, X); InputError if it cannot be read."""
    try:
        with Image.open(path) as image:
            return np.asarray(image) > 0
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error}); convert the data again") from error
