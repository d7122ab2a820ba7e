"""The magnification at which the fibres of an image have the size that the segmenter has learned."""

import logging
import math
from collections.abc import Callable

import numpy as np
import torch

from .automatic import find_fibres
from .segmenter import CLASSES, class_probabilities, window_side

__all__ = ["TYPICAL_PX", "choose_zoom", "typical_diameter"]

logger = logging.getLogger(__name__)

TYPICAL_PX = 75.0  # diameter of fibres in what the segmenter has learned from, see `typical_diameter`
USUAL = (0.67, 1.7)  # typical fibres as shares of that; in the images that it has learned from 0.71 to 1.61
ZOOMS = (0.25, 0.5, 1.0, 2.0, 4.0)  # tried where nothing is known
MIN_FIBRES = 3  # of fewer nobody knows what is typical


def choose_zoom(
    image: torch.Tensor,
    segment: Callable[[torch.Tensor], torch.Tensor],
    device: torch.device,
    *,
    expected: float | None = None,
) -> float:
    """How much to magnify an image, by what the segmenter finds in its middle.

    Parameters
    ----------
    image : Tensor of float32, shape (3, Y, X)
        Gray values from 0 to 255.
    segment : callable
        `SamMyelin.segment`.
    device : device
        Of the network.
    expected : float, optional
        What the size of pixels suggests: where fibres are looked at. Kept where none are found, or where they have an
        unusual size at it but less of them is shown at the magnification that they suggest.

    Returns
    -------
    float
        Pixels that the segmenter shall see per pixel of the image. 1 where nothing is known and nothing is found.
    """
    best, most = 1.0 if expected is None else expected, 0.0
    for zoom in ZOOMS if expected is None else (expected,):
        diameter, share = typical_diameter(image, segment, device, zoom=zoom)
        if expected is not None and USUAL[0] <= diameter / TYPICAL_PX <= USUAL[1]:
            return expected * TYPICAL_PX / diameter  # fibres of one nerve are thicker than those of another
        if (shown := _shown(diameter, share)) > most:
            best, most = zoom * TYPICAL_PX / diameter, shown
    if expected is None:
        logger.info("fibres are shown at %.2g times their size, by what was found at %d others", best, len(ZOOMS))
    elif most:
        if _shown(*typical_diameter(image, segment, device, zoom=best)) <= most:
            return expected
        logger.warning(
            "typical fibres are %.3g times as large as the size of pixels suggests; shown at %.2g times their size",
            expected / best,
            best,
        )
    return best


def _shown(diameter: float, share: float) -> float:
    """How much of an image is covered by fibres, less where these have no usual size."""
    return share * math.exp(-abs(math.log(diameter / TYPICAL_PX))) if share else 0.0


def typical_diameter(
    image: torch.Tensor, segment: Callable[[torch.Tensor], torch.Tensor], device: torch.device, *, zoom: float
) -> tuple[float, float]:
    """Size of the fibres in the middle of an image, as the segmenter sees them.

    Parameters
    ----------
    image, segment, device
        As for `choose_zoom`.
    zoom : float
        Magnification to look at.

    Returns
    -------
    diameter : float
        Of a circle with the area of the typical fibre, in pixels that the segmenter sees: half of the area of all
        fibres belongs to larger ones. NaN if there are too few.
    share : float
        Of the middle, that is covered by fibres which the segmenter is sure of.
    """
    sides = [min(side, window_side(zoom)) for side in image.shape[1:]]
    top, left = ((whole - side) // 2 for whole, side in zip(image.shape[1:], sides, strict=True))
    middle = image[:, top : top + sides[0], left : left + sides[1]]
    found = class_probabilities(middle, segment, device, zoom=zoom).numpy()
    myelin, axon = found[CLASSES.index("myelin")], found[CLASSES.index("axon")]
    labels = find_fibres(myelin, axon, min_solidity=0.8, min_sheath=0.8).labels
    border = np.concatenate([labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()])
    areas = np.bincount(labels.ravel())
    areas[np.append(border, 0)] = 0
    sizes = np.sort(areas[areas > 0])
    if len(sizes) < MIN_FIBRES:
        return math.nan, 0.0
    typical = sizes[np.searchsorted(np.cumsum(sizes), sizes.sum() / 2)]
    sure = np.where(areas[labels] > 0, np.maximum(myelin, axon), 0)
    return 2 * math.sqrt(typical / math.pi) * zoom, float((sure > 0.8).mean())
