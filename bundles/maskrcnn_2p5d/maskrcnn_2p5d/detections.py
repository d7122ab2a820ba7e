"""From the detections of one slice to its label image: where objects overlap, the higher score wins."""

from dataclasses import dataclass

import numpy as np

__all__ = ["SliceObjects", "paint_detections"]


@dataclass(frozen=True)
class SliceObjects:
    """Objects of one slice.

    Attributes
    ----------
    labels : ndarray of int32, shape (Y, X)
        0 is background; objects are 1..n, the highest score first.
    scores : ndarray of float32, shape (n,), or None
        Score of object i + 1; 1 for all without it.
    """

    labels: np.ndarray
    scores: np.ndarray | None


def paint_detections(
    boxes: np.ndarray,
    scores: np.ndarray,
    masks: np.ndarray,
    *,
    mask_threshold: float = 0.5,
    min_area_px: int = 1,
    min_visible: float = 0.5,
) -> SliceObjects:
    """Paint detections into one label image, the highest score first; nothing is painted over.

    A detection of which little remains visible is taken for a second one of the object that hides it, and leaves its
    pixels to those that come after it.

    Parameters
    ----------
    boxes : ndarray of float, shape (k, 4)
        x1, y1, x2, y2 in pixels; masks are looked at inside their box and a pixel around it.
    scores : ndarray of float, shape (k,)
        In any order; of equal scores the first one wins.
    masks : ndarray, shape (k, Y, X) or (k, 1, Y, X)
        Probabilities on the grid of the slice, as torchvision's Mask R-CNN gives them.
    mask_threshold : float
        A mask is what lies above it.
    min_area_px : int
        Smallest visible area of an object, in pixels.
    min_visible : float
        Smallest visible fraction of a mask, from 0 to 1; 0 keeps every remainder that is large enough.

    Raises
    ------
    ValueError
        If boxes, scores and masks are not of one number, or not of these shapes.

    References
    ----------
    .. [1] He et al. (2017), doi:10.1109/ICCV.2017.322 (masks and their threshold)
    """
    masks = masks[:, 0] if masks.ndim == 4 and masks.shape[1] == 1 else masks
    if boxes.shape != (len(scores), 4) or masks.ndim != 3 or len(masks) != len(scores):
        raise ValueError(
            f"boxes {boxes.shape}, scores {scores.shape}, masks {masks.shape}: expected (k, 4), (k,) and (k, Y, X)"
        )
    height, width = masks.shape[1:]
    labels, kept = np.zeros((height, width), np.int32), []
    for index in np.argsort(-scores, kind="stable"):
        window = _around(boxes[index], (height, width))
        mask = masks[index][window] > mask_threshold
        visible = mask & (labels[window] == 0)
        area = np.count_nonzero(visible)
        if area >= max(min_area_px, 1) and area >= min_visible * np.count_nonzero(mask):
            kept.append(index)
            labels[window][visible] = len(kept)
    return SliceObjects(labels, scores[kept].astype(np.float32))


def _around(box: np.ndarray, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Window of a box and one pixel around it, where interpolated masks still reach."""
    x1, y1, x2, y2 = box
    low = np.clip(np.floor([y1, x1]).astype(int) - 1, 0, shape)
    high = np.clip(np.ceil([y2, x2]).astype(int) + 2, 0, shape)
    return slice(low[0], high[0]), slice(low[1], high[1])
