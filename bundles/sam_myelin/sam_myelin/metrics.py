"""Scores of whole images as MONAI metrics: myelin, the myelin of each fibre, and fibres as objects."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .common.labels.seg import count_overlaps
from .common.metrics.pooled import PooledMetric
from .common.metrics.ratios import dice_ratio, f1_ratio, iou_ratio, seg_ratio
from .fibres import MYELIN_VALUE

__all__ = ["MyelinMetric", "compute_fibre_dice"]

NUM_RESULTS = 4  # channels
AUTOMATIC, PROMPTED = slice(0, 2), slice(2, 4)  # channels of the results: labels of fibres, axons and myelin
TRUTHS = ("label", "myelin")
OVERLAPS, BOX_OVERLAPS = ("dice", "iou"), ("box_dice", "box_iou")


def compute_fibre_dice(
    labels: np.ndarray, myelin: np.ndarray, true_labels: np.ndarray, true_myelin: np.ndarray
) -> np.ndarray:
    """Dice of the myelin of each fibre, with the myelin of the fibre that has the same id in the result.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        Fibres of the result, axon and sheath under one id.
    myelin : ndarray of bool, shape (Y, X)
        Of the result.
    true_labels, true_myelin
        The same of the truth.

    Returns
    -------
    ndarray of float, shape (k,)
        For each fibre of the truth that has myelin, in order of the ids; 0 where the result has none under this id.
    """
    overlaps = count_overlaps(np.where(true_myelin, true_labels, 0), np.where(myelin, labels, 0))
    found = np.isin(overlaps.reference_labels, overlaps.result_labels)
    sizes = overlaps.reference_sizes.astype(float)
    sizes[found] += overlaps.result_sizes[np.searchsorted(overlaps.result_labels, overlaps.reference_labels[found])]
    same = overlaps.reference_labels[overlaps.references] == overlaps.result_labels[overlaps.results]
    common = np.zeros(len(sizes))
    common[overlaps.references[same]] = overlaps.pixels[same]
    return 2 * common / sizes


class MyelinMetric(PooledMetric):
    """A score of whole images, which may differ in size.

    Call it with a list of results (4, Y, X) and a list of truths, all of integers. Channels of a result: ids of
    fibres, and a map of axons and myelin, in which myelin is 127, both without prompts; then both again, each fibre
    from the box of its truth, under the same id. A truth is a mapping: ``label`` (1, Y, X), ids of fibres, and
    ``myelin`` (1, Y, X), which is not 0.

    Parameters
    ----------
    kind : str
        ``dice``, ``iou``: of myelin found without prompts, 1 where there is none in either; `aggregate` is the mean
        over images. ``box_dice``, ``box_iou``: of myelin found from boxes. ``fibre_dice``: mean over an image's fibres
        of the Dice of each one's myelin, found from its box; NaN where no fibre has myelin; `aggregate` is the mean
        over all fibres. ``seg``: of fibres found without prompts, as the Cell Tracking Challenge has it; NaN where
        there is no fibre; `aggregate` is the mean over all fibres; ``seg_per_image``: the mean over images of the
        same. ``f1``: of fibres found without prompts, where a pair needs an IoU above 0.5; NaN where there is no
        fibre in either; `aggregate` counts over all images.

    Raises
    ------
    ValueError
        If the kind is another one.

    References
    ----------
    .. [1] SEG: Maška et al. (2014), doi:10.1093/bioinformatics/btu080
    """

    KINDS = (*OVERLAPS, *BOX_OVERLAPS, "fibre_dice", "seg", "seg_per_image", "f1")

    def __init__(self, kind: str) -> None:
        if kind not in self.KINDS:
            raise ValueError(f"kind is {kind!r}, expected one of {', '.join(self.KINDS)}")
        self.kind = kind
        of_nothing = 1.0 if kind in (*OVERLAPS, *BOX_OVERLAPS) else np.nan
        super().__init__(self._ratio, pooled=kind in ("fibre_dice", "seg", "f1"), of_nothing=of_nothing)

    def _ratio(self, result: np.ndarray, truth: Mapping[str, np.ndarray]) -> tuple[float, float]:
        one_channel = (1, *result.shape[1:])
        if result.ndim != 3 or len(result) != NUM_RESULTS or {truth[key].shape for key in TRUTHS} != {one_channel}:
            shapes = f"y_pred {result.shape}, " + ", ".join(f"{key} {truth[key].shape}" for key in TRUTHS)
            raise ValueError(f"{shapes}: expected results ({NUM_RESULTS}, Y, X) and truths (1, Y, X)")
        true_labels, true_myelin = (truth[key][0] for key in TRUTHS)
        labels, tissue = result[PROMPTED] if self.kind in ("fibre_dice", *BOX_OVERLAPS) else result[AUTOMATIC]
        if self.kind == "f1":
            return f1_ratio(labels, true_labels)
        if self.kind.startswith("seg"):
            return seg_ratio(labels, true_labels)
        myelin = tissue == MYELIN_VALUE
        if self.kind == "fibre_dice":
            scores = compute_fibre_dice(labels, myelin, true_labels, true_myelin != 0)
            return float(scores.sum()), scores.size
        return dice_ratio(myelin, true_myelin) if self.kind.endswith("dice") else iou_ratio(myelin, true_myelin)
