"""Fibres that nobody pointed at, from the probabilities of myelin and axon in every pixel."""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage
from skimage.measure import regionprops

from .common.labels.fibres import label_axons, label_fibres
from .fibres import Fibre
from .prompts import Prompts, boxes_of, prompts_from_labels

__all__ = ["FoundFibres", "fibres_from_classes", "find_fibres", "has_bright_myelin", "prompts_from_classes"]

MIN_G_RATIO = 0.3  # of an axon; myelin farther out belongs to an axon that was not found


class FoundFibres(NamedTuple):
    """Labels int32 (Y, X) of fibres, 1 to n with gaps, and the mask of their axons."""

    labels: np.ndarray
    axon: np.ndarray


def find_fibres(
    myelin_probability: np.ndarray,
    axon_probability: np.ndarray,
    *,
    threshold: float = 0.5,
    axon_share: float = 0.5,
    min_axon_px: float = 20,
    min_solidity: float = 0.0,
    min_sheath: float = 0.0,
    keep_bare_axons: bool = False,
    min_g_ratio: float = MIN_G_RATIO,
) -> FoundFibres:
    """Fibres: each axon with the myelin around it, parted where two sheaths touch; see `label_fibres`.

    Parameters
    ----------
    myelin_probability, axon_probability : ndarray of float, shape (Y, X)
        Of two classes that exclude each other.
    threshold : float
        A pixel belongs to a fibre if both together are as probable.
    axon_share : float
        A pixel of a fibre is axon if the axon's probability has at least this share of both; lower ones widen axons.
    min_axon_px : float
        Smaller axons are left out.
    min_solidity : float
        Axons that fill less of their convex hull are left out: they are gaps between fibres.
    min_sheath : float
        Axons of whose outline less borders on myelin are bare; the image's border counts as neither.
    keep_bare_axons : bool
        Whether bare axons are fibres without myelin; otherwise they are left out.
    min_g_ratio : float
        Myelin is an axon's own if it is not farther from it than the sheath of a round axon of the same area with
        this g-ratio.

    Returns
    -------
    FoundFibres
        Axons without any myelin are bare, too; holes in axons are filled.
    """
    both = myelin_probability + axon_probability
    inside = both >= threshold
    every_axon = ndimage.binary_fill_holes(inside & (axon_probability >= axon_share * both))
    myelin = inside & ~every_axon
    axon, bare = _sheathed_and_bare(every_axon, myelin, min_axon_px, min_solidity, min_sheath)
    found = label_fibres(axon, myelin, min_axon_px=1)
    labels = found.labels.astype(np.int32)
    if axon.any():
        areas = np.bincount(labels[axon], minlength=int(labels.max()) + 1)
        reach = np.sqrt(areas / np.pi) * (1 / min_g_ratio - 1)
        labels[ndimage.distance_transform_edt(~axon) > reach[labels]] = 0
    else:
        labels[:] = 0
    alone = np.isin(labels, found.bare_axons) & axon
    labels[alone] = 0
    if keep_bare_axons:
        numbers, _ = label_axons(bare | alone, min_axon_px=1)
        labels = np.where(numbers > 0, numbers + labels.max(initial=0), labels)
    return FoundFibres(labels, every_axon & (labels > 0))


def has_bright_myelin(gray: np.ndarray, myelin_probability: np.ndarray, axon_probability: np.ndarray) -> bool:
    """Whether myelin is brighter than axons, as in SEM; TEM shows it darker.

    Parameters
    ----------
    gray : ndarray of number, shape (Y, X)
        The image.
    myelin_probability, axon_probability : ndarray of float, shape (Y, X)
        Weights of the pixels in the two means that are compared; False where either is 0 everywhere.
    """
    weights = myelin_probability, axon_probability
    totals = [float(weight.sum(dtype=np.float64)) for weight in weights]
    if min(totals) <= 0:
        return False
    myelin, axon = (np.vdot(gray, weight) / total for weight, total in zip(weights, totals, strict=True))
    return bool(myelin > axon)


def _sheathed_and_bare(
    axon: np.ndarray, myelin: np.ndarray, min_axon_px: float, min_solidity: float, min_sheath: float
) -> tuple[np.ndarray, np.ndarray]:
    """Masks of those axons that are large and round enough: in a sheath, and without one."""
    labels, _ = label_axons(axon, min_axon_px=math.ceil(min_axon_px))
    number = int(labels.max(initial=0))
    outline = np.where(axon, 0, ndimage.grey_dilation(labels, size=(3, 3)))
    lengths = np.bincount(outline.ravel(), minlength=number + 1)
    covered = np.bincount(outline[myelin], minlength=number + 1)
    good = np.arange(number + 1) > 0
    if min_solidity > 0:
        for region in regionprops(labels):
            good[region.label] &= region.solidity >= min_solidity
    sheathed = covered >= min_sheath * lengths
    return (good & sheathed)[labels], (good & ~sheathed)[labels]


def prompts_from_classes(
    myelin_probability: np.ndarray, axon_probability: np.ndarray, **options: Any
) -> tuple[Prompts, np.ndarray]:
    """Prompts of the fibres that `find_fibres` finds, which takes the same parameters, and the mask of their axons.

    Returns
    -------
    prompts : Prompts
        A point inside the axon, and the bounding box of the fibre; ids from 1 without gaps.
    axon : ndarray of bool, shape (Y, X)
    """
    found = find_fibres(myelin_probability, axon_probability, **options)
    prompts = prompts_from_labels(found.labels, found.axon)
    return prompts._replace(ids=np.arange(1, len(prompts.ids) + 1)), found.axon


def fibres_from_classes(myelin_probability: np.ndarray, axon_probability: np.ndarray, **options: Any) -> list[Fibre]:
    """The fibres that `find_fibres` finds, which takes the same parameters, as they are, without a decoder.

    Returns
    -------
    list of Fibre
        Their score is the mean probability of what each pixel is.
    """
    found = find_fibres(myelin_probability, axon_probability, **options)
    fibres = []
    for label, (left, top, right, bottom) in zip(*boxes_of(found.labels), strict=True):
        window = slice(top, bottom + 1), slice(left, right + 1)
        whole = found.labels[window] == label
        axon = whole & found.axon[window]
        probability = np.where(axon, axon_probability[window], myelin_probability[window])[whole]
        fibres.append(Fibre((int(top), int(left)), axon, whole & ~axon, float(probability.mean(dtype=np.float64))))
    return fibres
