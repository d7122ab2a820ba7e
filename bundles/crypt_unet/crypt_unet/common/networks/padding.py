"""Padding images to sizes that a network takes, by repeating their last row and column."""

import torch
import torch.nn.functional as F

__all__ = ["pad_to_multiple", "repeat_border"]


def repeat_border(image: torch.Tensor, below: int, beside: int) -> torch.Tensor:
    """An image (B, C, Y, X) with so many rows more below, and columns on the right, that repeat the last ones."""
    return F.pad(image, (0, beside, 0, below), mode="replicate") if below or beside else image


def pad_to_multiple(image: torch.Tensor, multiple: int) -> torch.Tensor:
    """An image (B, C, Y, X) whose sides are whole multiples, by `repeat_border`."""
    height, width = image.shape[-2:]
    return repeat_border(image, -height % multiple, -width % multiple)
