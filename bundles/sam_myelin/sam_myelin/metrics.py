"""Scores of whole images as MONAI metrics: myelin, axons, the myelin of each fibre, fibres as objects, their sizes."""

from collections.abc import Mapping

import numpy as np
import torch

from .common.labels.seg import count_overlaps
from .common.metrics.pooled import PooledMetric
from .common.metrics.ratios import ap_ratio, dice_ratio, f1_ratio, iou_ratio, seg_ratio
from .fibres import AXON_VALUE, MYELIN_VALUE
from .morphometrics import COLUMNS, measure_fibres

__all__ = ["MyelinMetric", "compare_sizes", "compute_fibre_dice", "matched_sizes"]

NUM_RESULTS = 4  # channels
AUTOMATIC, PROMPTED = slice(0, 2), slice(2, 4)  # channels of the results: labels of fibres, axons and myelin
TRUTHS = ("label", "myelin")
IMAGE_OVERLAPS, BOX_OVERLAPS, AXON_OVERLAP = ("dice", "iou"), ("box_dice", "box_iou"), "axon_dice"
OVERLAPS = (*IMAGE_OVERLAPS, *BOX_OVERLAPS, AXON_OVERLAP)
SIZES = ("g_ratio_error", "g_ratio_bias", "axon_diameter_error", "axon_diameter_bias", "thickness_error")
LIMITS = ("g_ratio_limits", "axon_diameter_limits")
NORMAL = 1.96  # standard deviations that hold 95 % of a normal distribution
AP_LAST_IOU = 0.95  # of the Data Science Bowl
AXON_DIAMETER, THICKNESS, G_RATIO, BORDER = 3, 5, 6, 10  # columns of `measure_fibres`
MIN_IOU = 0.5  # of two fibres whose sizes are compared


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


def matched_sizes(
    labels: np.ndarray, axon: np.ndarray, true_labels: np.ndarray, true_axon: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sizes of fibres, and of the fibres of the truth that they match.

    Two fibres match at an IoU above 0.5. Those that the image cuts are left out, and those without axon or myelin in
    either.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        Fibres of the result, axon and sheath under one label.
    axon : ndarray of bool, shape (Y, X)
        Of the result.
    true_labels, true_axon
        The same of the truth.

    Returns
    -------
    found, truth : ndarray of float, shape (k, 11)
        Rows of `measure_fibres` in pixels, one per pair.
    """
    overlaps = count_overlaps(true_labels, labels)
    matched = overlaps.ious > MIN_IOU
    sizes = []
    for which, mask, ids in (
        (true_labels, true_axon, overlaps.reference_labels[overlaps.references[matched]]),
        (labels, axon, overlaps.result_labels[overlaps.results[matched]]),
    ):
        rows = {row[0]: row for row in measure_fibres(which, mask)[1]}
        sizes.append(np.array([rows[int(label)] for label in ids], float).reshape(len(ids), len(COLUMNS)))
    truth, found = sizes
    whole = truth[:, BORDER] == 0
    good = whole & (truth[:, THICKNESS] > 0) & (found[:, THICKNESS] > 0)  # NaN, of no axon, is not above 0
    return found[good], truth[good]


def compare_sizes(
    labels: np.ndarray, axon: np.ndarray, true_labels: np.ndarray, true_axon: np.ndarray
) -> dict[str, np.ndarray]:
    """Differences between the sizes of fibres and those of the fibres of the truth that they match.

    Parameters
    ----------
    labels, axon, true_labels, true_axon
        As for `matched_sizes`, which says which fibres are compared.

    Returns
    -------
    dict of str to ndarray of float, shape (k,)
        ``g_ratio``: result less truth; ``axon_diameter`` and ``thickness`` of the myelin: the same, as a share of the
        truth. See `measure_fibres`.
    """
    found, truth = matched_sizes(labels, axon, true_labels, true_axon)
    shares, g_ratio = found / np.where(truth == 0, 1, truth) - 1, found[:, G_RATIO] - truth[:, G_RATIO]
    return {"g_ratio": g_ratio, "axon_diameter": shares[:, AXON_DIAMETER], "thickness": shares[:, THICKNESS]}


class MyelinMetric(PooledMetric):
    """A score of whole images, which may differ in size.

    Call it with a list of results (4, Y, X) and a list of truths, all of integers. Channels of a result: ids of
    fibres, and a map of axons and myelin, in which myelin is 127, both without prompts; then both again, each fibre
    from the box of its truth, under the same id. A truth is a mapping: ``label`` (1, Y, X), ids of fibres, and
    ``myelin`` (1, Y, X), which is not 0.

    Parameters
    ----------
    kind : str
        ``dice``, ``iou``: of myelin found without prompts, 1 where neither holds any; `aggregate` is the mean
        over images; ``axon_dice``: the same of axons. ``box_dice``, ``box_iou``: of myelin found from boxes.
        ``fibre_dice``: mean over an image's fibres of the Dice of each one's myelin, found from its box; NaN where no
        fibre has myelin; `aggregate` is the mean over all fibres. ``seg``: of fibres found without prompts, as the
        Cell Tracking Challenge has it; NaN where there is no fibre; `aggregate` is the mean over all fibres;
        ``seg_per_image``: the mean over images of the same. ``f1``: of fibres found without prompts, where a pair
        needs an IoU above 0.5; NaN where there is no fibre in either; `aggregate` counts over all images.
        ``ap_dsb``: TP / (TP + FP + FN), the mean over IoUs of 0.5, 0.55, ... 0.95, as the Data Science Bowl has it;
        NaN where there is no fibre in either; `aggregate` is the mean over images.
        ``g_ratio_error``, ``g_ratio_bias``, ``axon_diameter_error``, ``axon_diameter_bias``, ``thickness_error``: of
        fibres found without prompts, means over those that `compare_sizes` compares, of absolute values but for the
        bias; NaN where there is none. ``g_ratio_limits``, ``axon_diameter_limits``: how far Bland and Altman's 95 %
        limits of agreement lie from the bias, 1.96 standard deviations of these differences; NaN for fewer than two.
    modality : str
        Images of another one, as the truth says under ``modality``, count as undefined; ``all`` takes every image.

    Raises
    ------
    ValueError
        If the kind is another one.

    References
    ----------
    .. [1] SEG: Maška et al. (2014), doi:10.1093/bioinformatics/btu080
    .. [2] Limits of agreement: Bland and Altman (1986), doi:10.1016/S0140-6736(86)90837-8
    """

    OBJECTS = ("fibre_dice", "seg", "seg_per_image", "f1", "ap_dsb")
    KINDS = (*IMAGE_OVERLAPS, *BOX_OVERLAPS, *OBJECTS, AXON_OVERLAP, *SIZES, *LIMITS)

    def __init__(self, kind: str, modality: str = "all") -> None:
        if kind not in self.KINDS:
            raise ValueError(f"kind is {kind!r}, expected one of {', '.join(self.KINDS)}")
        self.kind, self.modality = kind, modality
        super().__init__(self._ratio_of_modality, pooled=kind in ("fibre_dice", "seg", "f1", *SIZES, *LIMITS))

    def _divide(self, ratios: torch.Tensor) -> torch.Tensor:
        if self.kind not in LIMITS:
            return super()._divide(ratios)
        squares, total, number = ratios.unbind(dim=-1)
        variance = (squares - total**2 / number).clamp(min=0) / (number - 1)
        return torch.where(number > 1, NORMAL * variance.sqrt(), torch.nan)

    def _ratio_of_modality(self, result: np.ndarray, truth: Mapping[str, np.ndarray]) -> tuple[float, ...]:
        if self.modality not in ("all", truth.get("modality", "all")):
            return (0, 0, 0) if self.kind in LIMITS else (0, 0)
        ratio = self._ratio(result, truth)
        if ratio[1] == 0 and self.kind in OVERLAPS:
            return 1, 1  # nothing was there, and nothing was found
        return ratio

    def _ratio(self, result: np.ndarray, truth: Mapping[str, np.ndarray]) -> tuple[float, ...]:
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
        if self.kind == "ap_dsb":
            return ap_ratio(labels, true_labels, AP_LAST_IOU)
        if self.kind in (AXON_OVERLAP, *SIZES, *LIMITS):
            axon, true_axon = tissue == AXON_VALUE, (true_labels > 0) & (true_myelin == 0)
            if self.kind == AXON_OVERLAP:
                return dice_ratio(axon, true_axon)
            return _mean_of(self.kind, compare_sizes(labels, axon, true_labels, true_axon))
        myelin = tissue == MYELIN_VALUE
        if self.kind == "fibre_dice":
            scores = compute_fibre_dice(labels, myelin, true_labels, true_myelin != 0)
            return float(scores.sum()), scores.size
        return dice_ratio(myelin, true_myelin) if self.kind.endswith("dice") else iou_ratio(myelin, true_myelin)


def _mean_of(kind: str, differences: Mapping[str, np.ndarray]) -> tuple[float, ...]:
    """Sum and number of differences, or of their absolute values for an error; for limits, first a sum of squares."""
    name, _, how = kind.rpartition("_")
    values = differences[name]
    if kind in LIMITS:
        return float((values**2).sum()), float(values.sum()), values.size
    return float((np.abs(values) if how == "error" else values).sum()), values.size
