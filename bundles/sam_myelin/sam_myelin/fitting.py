"""Prompts for fibres that the segmenter has found already."""

from collections.abc import Sequence

import numpy as np

from .fibres import Fibre
from .prompts import Prompts

__all__ = ["box_ious", "fitting_fibres"]


def fitting_fibres(prompts: Prompts, fibres: Sequence[Fibre], *, min_iou: float) -> list[Fibre | None]:
    """For each prompt the found fibre that it means.

    Parameters
    ----------
    prompts : Prompts
    fibres : sequence of Fibre
    min_iou : float
        A box means the fibre whose bounding box it resembles most, if their IoU is at least this: half of a box means
        neither the whole nor nothing. A point without a box means the fibre in whose axon it is.

    Returns
    -------
    list of Fibre or None
        None where no found fibre is meant.
    """
    if not fibres:
        return [None] * len(prompts.ids)
    corners = np.array([(x, y) for (y, x) in (fibre.corner for fibre in fibres)])
    sides = np.array([fibre.myelin.shape[::-1] for fibre in fibres])
    found_boxes = np.concatenate([corners, corners + sides - 1], axis=1)
    chosen: list[Fibre | None] = []
    for point, box in zip(prompts.points, prompts.boxes, strict=True):
        if not np.isnan(box).any():
            ious = box_ious(box, found_boxes)
            best = int(ious.argmax())
            chosen.append(fibres[best] if ious[best] >= min_iou else None)
        else:
            chosen.append(_fibre_at(point, fibres, found_boxes))
    return chosen


def box_ious(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """IoU of a box with each of others; they run from the first to the last pixel inside.

    Parameters
    ----------
    box : ndarray of number, shape (4,)
        (x, y, x, y).
    boxes : ndarray of number, shape (k, 4)

    Returns
    -------
    ndarray of float, shape (k,)
    """
    first, last = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    common = (last - first + 1).clip(0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2] + 1).prod(axis=1)
    return common / (np.prod(box[2:] - box[:2] + 1) + areas - common)


def _fibre_at(point: np.ndarray, fibres: Sequence[Fibre], boxes: np.ndarray) -> Fibre | None:
    """The fibre whose axon holds a place (x, y)."""
    x, y = np.rint(point).astype(int)
    inside = (boxes[:, 0] <= x) & (x <= boxes[:, 2]) & (boxes[:, 1] <= y) & (y <= boxes[:, 3])
    for index in np.flatnonzero(inside).tolist():
        top, left = fibres[index].corner
        if fibres[index].axon[y - top, x - left]:
            return fibres[index]
    return None
