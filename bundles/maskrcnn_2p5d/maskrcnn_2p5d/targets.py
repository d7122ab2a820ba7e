"""Stacks of slices, and what a detector has to find in the slice in the middle."""

import numpy as np
import torch
from scipy import ndimage

from .common.errors import InputError

__all__ = ["check_num_slices", "slice_targets", "stack_indices"]


def check_num_slices(num_slices: int) -> None:
    """Raise `InputError` unless a stack of so many slices has one in the middle."""
    if num_slices < 1 or num_slices % 2 == 0:
        raise InputError(f"--num_slices {num_slices}: a stack needs a slice in the middle; give 1, 3, 5 or 7")


def stack_indices(centres: torch.Tensor, depth: int, num_slices: int) -> torch.Tensor:
    """Slices of the stacks around some slices; at the ends of the volume the last slice is repeated.

    Parameters
    ----------
    centres : Tensor of int64, shape (B,)
    depth : int
        Slices in the volume; fewer than ``num_slices`` are repeated more often.
    num_slices : int
        Odd.

    Returns
    -------
    Tensor of int64, shape (B, num_slices)
    """
    check_num_slices(num_slices)
    offsets = torch.arange(num_slices, device=centres.device) - num_slices // 2
    return (centres[:, None] + offsets).clamp(0, depth - 1)


def slice_targets(labels: np.ndarray, *, min_area_px: int = 1) -> dict[str, torch.Tensor]:
    """Boxes and masks of the objects in a slice, always paired.

    Parameters
    ----------
    labels : ndarray of int or whole float, shape (Y, X)
        Instance label image; 0 is background.
    min_area_px : int
        Smaller objects are left out, box and mask.

    Returns
    -------
    dict of str to Tensor
        ``boxes`` float32 (k, 4), (x, y, x, y) of the edges of the outermost pixels, so at least 1 pixel wide and high;
        ``labels`` int64 (k,), all 1; ``masks`` uint8 (k, Y, X). k may be 0: a slice without objects is a negative.

    Raises
    ------
    InputError
        If the array has not two axes.
    """
    if labels.ndim != 2:
        raise InputError(f"a label image of shape {labels.shape}: targets are drawn from one slice (Y, X)")
    # names such as 70 000 become numbers in a row, as find_objects makes an entry for every number
    names, flat, areas = np.unique(labels, return_inverse=True, return_counts=True)
    numbers = flat.reshape(labels.shape)
    objects = np.flatnonzero((names != 0) & (areas >= min_area_px))
    found = ndimage.find_objects(numbers + 1)
    corners = [(x.start, y.start, x.stop, y.stop) for y, x in (found[number] for number in objects)]
    return {
        "boxes": torch.tensor(corners, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.ones(len(objects), dtype=torch.int64),
        "masks": torch.from_numpy((numbers == objects[:, None, None]).astype(np.uint8)),
    }
