"""Dice and IoU of the patches that a slide is cut into, as papers on crypts report them."""

import numpy as np

from .common.metrics.ratios import dice_ratio

__all__ = ["patch_dice_iou"]


def patch_dice_iou(
    predicted: np.ndarray, truth: np.ndarray, corners: np.ndarray, patch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Dice and IoU within every patch of a slide.

    Parameters
    ----------
    predicted, truth : ndarray of bool or number, shape (Y, X)
        Foreground is what is not 0, so that a label image serves as a mask.
    corners : ndarray of int, shape (n, 2)
        y and x of the top left pixel of each patch, inside the image.
    patch_size : int
        In pixels, along both axes; a patch ends where the image does.

    Returns
    -------
    dice, iou : ndarray of float64, shape (n,)
        In [0, 1]; 1 where a patch has foreground in neither.

    Raises
    ------
    ValueError
        If the shapes differ, the patch size is not positive, or a corner is outside the image.
    """
    if predicted.ndim != 2 or predicted.shape != truth.shape:
        raise ValueError(f"predicted {predicted.shape} and truth {truth.shape}: expected one shape (Y, X)")
    if patch_size < 1:
        raise ValueError(f"patch_size {patch_size}: expected a number of pixels, at least 1")
    corners = np.asarray(corners).reshape(-1, 2)
    outside = ((corners < 0) | (corners >= predicted.shape)).any(axis=1)
    if outside.any():
        raise ValueError(f"patch at y, x = {corners[outside][0].tolist()}: outside the image {predicted.shape}")
    windows = [np.s_[y : y + patch_size, x : x + patch_size] for y, x in corners.tolist()]
    ratios = np.array([dice_ratio(predicted[window], truth[window]) for window in windows]).reshape(-1, 2)
    both, total = ratios[:, 0], ratios[:, 1]
    return _divide(both, total), _divide(both / 2, total - both / 2)


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.ones(len(whole)), where=whole > 0)
