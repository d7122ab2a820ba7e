"""What the network has to draw for each prompt, at the resolution of its logits."""

import numpy as np
import torch

from .common.errors import InputError
from .normalisation import Fit

__all__ = ["PARTS", "area_weights", "cell_weights", "part_of", "shares", "soft_targets"]

PARTS = ("myelin", "axon", "fibre")


def part_of(fibre: np.ndarray, axon: np.ndarray, part: str) -> np.ndarray:
    """Mask of a fibre's myelin or axon, or of all of it.

    Parameters
    ----------
    fibre, axon : ndarray of bool, shape (Y, X)
        The fibre, axon included; the axons of all fibres.
    part : str
        One of `PARTS`.

    Raises
    ------
    InputError
        If there is no such part.
    """
    if part not in PARTS:
        raise InputError(f"--target {part}: unknown; give {', '.join(PARTS)}")
    return {"myelin": fibre & ~axon, "axon": fibre & axon, "fibre": fibre}[part]


def area_weights(length: int, resized: int, size: int, num_cells: int) -> np.ndarray:
    """Share of each cell of a side of the logits that each pixel of the same side of the image covers.

    Parameters
    ----------
    length, resized, size : int
        Pixels of the image, of the image in the network's input, of the input.
    num_cells : int
        Cells of the logits along the input's side.

    Returns
    -------
    ndarray of float32, shape (num_cells, length)
        Rows sum to 1, or less where the cell lies in the padding.
    """
    borders = np.arange(num_cells + 1) * (size / num_cells) * (length / resized)  # of the cells, in pixels
    pixels = np.arange(length)
    overlap = np.minimum(borders[1:, None], pixels + 1) - np.maximum(borders[:-1, None], pixels)
    return (overlap.clip(0) / (borders[1] - borders[0])).astype(np.float32)


def cell_weights(fit: Fit, num_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """`area_weights` along y and x, of logits with ``num_cells`` cells along either side."""
    down, right = (
        area_weights(length, resized, fit.size, num_cells)
        for length, resized in zip(fit.shape, fit.resized, strict=True)
    )
    return down, right


def soft_targets(
    labels: np.ndarray,
    axon: np.ndarray,
    ids: np.ndarray,
    boxes: np.ndarray,
    fit: Fit,
    *,
    part: str = "myelin",
    num_cells: int | None = None,
) -> np.ndarray:
    """For each fibre, how much of each cell of the logits its myelin, axon or all of it covers.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        Fibres, axon and sheath under one label.
    axon : ndarray of bool, shape (Y, X)
    ids : ndarray of int, shape (k,)
    boxes : ndarray of int, shape (k, 4)
        Bounding boxes of these fibres, as `boxes_of` gives; they save looking at the whole image for each.
    fit : Fit
        How the image lies in the network's input.
    part : str
        One of `PARTS`.
    num_cells : int, optional
        Side of the logits; a quarter of the input's by default.

    Returns
    -------
    ndarray of float32, shape (k, 1, num_cells, num_cells)
        From 0 to 1; exact areas, so that a sheath thinner than a cell is not lost.
    """
    cells = num_cells or fit.size // 4
    down, right = cell_weights(fit, cells)
    targets = np.zeros((len(ids), 1, cells, cells), np.float32)
    for target, label, (x_min, y_min, x_max, y_max) in zip(targets, ids, np.asarray(boxes, int), strict=True):
        window = slice(y_min, y_max + 1), slice(x_min, x_max + 1)
        mask = part_of(labels[window] == label, axon[window], part)
        rows, columns = (_touched(weights[:, where]) for weights, where in zip((down, right), window, strict=True))
        target[0, rows, columns] = shares(mask, down[rows, window[0]], right[columns, window[1]])
    return targets


def shares(mask: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Share of each cell that a mask (Y, X) covers, float32, by what `area_weights` gives for its two axes.

    By PyTorch, whose threads do not fight with those of a network in training, as NumPy's do.
    """
    return (torch.from_numpy(down) @ torch.from_numpy(mask.astype(np.float32)) @ torch.from_numpy(right).T).numpy()


def _touched(weights: np.ndarray) -> slice:
    """Cells that some pixels cover."""
    cells = np.flatnonzero(weights.any(axis=1))
    return slice(cells[0], cells[-1] + 1) if len(cells) else slice(0, 0)
