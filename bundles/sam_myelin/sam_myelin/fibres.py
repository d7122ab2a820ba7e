"""Fibres of an image, made of the masks that the network draws for the prompts."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from scipy.special import expit, logit
from skimage.morphology import convex_hull_image

from .normalisation import Fit, upsampling_weights

__all__ = ["Fibre", "FibreMaps", "fibre_of_mask", "fibres_of_logits", "merge_fibres", "moved"]

AXON_VALUE, MYELIN_VALUE = 255, 127  # as AxonDeepSeg writes them


class Fibre(NamedTuple):
    """A fibre in a window of the image, whose first pixel is ``corner`` (y, x); axon and myelin do not overlap."""

    corner: tuple[int, int]
    axon: np.ndarray
    myelin: np.ndarray
    score: float

    @property
    def window(self) -> tuple[slice, slice]:
        """To cut the window out of the image."""
        (top, left), (height, width) = self.corner, self.myelin.shape
        return slice(top, top + height), slice(left, left + width)


class FibreMaps(NamedTuple):
    """What is known of each pixel (Y, X): number of the fibre, whether myelin, and 0, 127 or 255 as `axonmyelin`."""

    labels: np.ndarray
    myelin: np.ndarray
    axonmyelin: np.ndarray


def fibre_of_mask(
    mask: np.ndarray, *, part: str = "myelin", axon: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Axon and myelin of one fibre from the mask of a part of it.

    Parameters
    ----------
    mask : ndarray of bool, shape (Y, X)
        What the network drew.
    part : str
        What it draws: ``myelin``, whose axon is what it encloses. Where it encloses nothing, as at the image's border
        or with a gap, it is what the sheath's convex hull encloses: the largest piece of that. ``fibre``, ``axon``:
        see ``axon``.
    axon : ndarray of bool, shape (Y, X), optional
        Axons of all fibres, if they are known. Then the axon of a ``fibre`` is what lies in it, and that of
        ``myelin`` what it encloses of them. Unknown, a ``fibre`` is myelin as a whole.

    Returns
    -------
    axon, myelin : ndarray of bool, shape (Y, X)
        A mask of an ``axon`` is returned with no myelin.
    """
    if part == "axon":
        return mask.copy(), np.zeros_like(mask)
    if part == "fibre":
        inside = mask & axon if axon is not None else np.zeros_like(mask)
        return inside, mask & ~inside
    enclosed = ndimage.binary_fill_holes(mask) & ~mask
    if not enclosed.any() and mask.any():
        enclosed = _largest(convex_hull_image(mask) & ~mask)
    if axon is not None:
        enclosed &= axon
    return enclosed, mask.copy()


def fibres_of_logits(
    logits: torch.Tensor, fit: Fit, *, part: str = "myelin", axon: np.ndarray | None = None, threshold: float = 0.5
) -> Iterator[Fibre | None]:
    """The fibre that each prompt found, at the image's resolution, each computed only where it is.

    Parameters
    ----------
    logits : Tensor of float, shape (n, 1, h, w)
        Of the whole input, padding included.
    fit : Fit
        How the image lies in the input.
    part, axon
        As for `fibre_of_mask`.
    threshold : float
        Probability from which a pixel belongs to the mask.

    Yields
    ------
    Fibre or None
        In the order of the logits; its score is the mean probability in the mask. None where the mask is empty.
    """
    weights = upsampling_weights(fit, logits.shape[-2:])
    for cells in logits[:, 0].float().cpu().numpy():
        (top, left), probability = _probability_near(cells, *weights, threshold)
        height, width = probability.shape
        near = None if axon is None else axon[top : top + height, left : left + width]
        yield moved(_fibre_of_probability(probability, part, near, threshold), top, left)


def merge_fibres(
    fibres: Sequence[Fibre | None],
    shape: Sequence[int],
    *,
    ids: Sequence[int] | np.ndarray | None = None,
    min_visible: float = 0.0,
) -> FibreMaps:
    """One map of all fibres; where two overlap, the higher score wins, and among equals the first.

    Parameters
    ----------
    fibres : sequence of Fibre or None
        None is left out.
    shape : tuple of int
        (Y, X) of the image.
    ids : sequence of int, optional
        Number of each fibre in the map, from 1; by default their place in the sequence.
    min_visible : float
        A fibre is left out unless more than this share of it is not covered by better ones: 0 keeps whatever can be
        seen, 0.5 makes one of two prompts that found the same.

    Returns
    -------
    FibreMaps
        ``labels`` uint16, int32 if a number is above 65535; ``myelin`` bool; ``axonmyelin`` uint8, 127 for myelin and
        255 for axons.

    Raises
    ------
    ValueError
        If there are not as many ids as fibres, or one is below 1.
    """
    numbers = np.arange(1, len(fibres) + 1) if ids is None else np.asarray(ids, np.int64)
    if len(numbers) != len(fibres) or numbers.min(initial=1) < 1:
        raise ValueError(f"ids {numbers.tolist()} for {len(fibres)} fibres; give one each, from 1")
    fits_16_bit = numbers.max(initial=0) <= np.iinfo(np.uint16).max
    labels = np.zeros(shape, np.uint16 if fits_16_bit else np.int32)
    axonmyelin = np.zeros(shape, np.uint8)
    found = [(number, fibre) for number, fibre in zip(numbers, fibres, strict=True) if fibre is not None]
    for number, fibre in sorted(found, key=lambda pair: -pair[1].score):
        whole = fibre.axon | fibre.myelin
        free = whole & (labels[fibre.window] == 0)
        if np.count_nonzero(free) <= min_visible * np.count_nonzero(whole):
            continue
        labels[fibre.window][free] = number
        axonmyelin[fibre.window][free & fibre.myelin] = MYELIN_VALUE
        axonmyelin[fibre.window][free & fibre.axon] = AXON_VALUE
    return FibreMaps(labels, axonmyelin == MYELIN_VALUE, axonmyelin)


def moved(fibre: Fibre | None, top: int, left: int) -> Fibre | None:
    """The fibre of a tile as one of the image, in which the tile's first pixel is (top, left)."""
    return fibre and fibre._replace(corner=(fibre.corner[0] + top, fibre.corner[1] + left))


def _probability_near(
    cells: np.ndarray, down: np.ndarray, right: np.ndarray, threshold: float
) -> tuple[tuple[int, int], np.ndarray]:
    """First pixel of a window that holds the whole mask, and its probabilities; of size 0 if there is no mask."""
    inside = cells >= logit(threshold)  # between cells below it, every pixel is below it
    rows, near_rows = _reach(down, np.any(inside, axis=1))
    columns, near_columns = _reach(right, np.any(inside, axis=0))
    values = down[rows, near_rows] @ cells[near_rows, near_columns] @ right[columns, near_columns].T
    return (rows.start, columns.start), expit(values)


def _reach(weights: np.ndarray, cells: np.ndarray) -> tuple[slice, slice]:
    """Pixels on which some cells have an influence, and all cells that have one on these pixels."""
    pixels = _hull(np.any(weights[:, cells], axis=1))
    return pixels, _hull(np.any(weights[pixels], axis=0))


def _hull(chosen: np.ndarray) -> slice:
    places = np.flatnonzero(chosen)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)


def _fibre_of_probability(
    probability: np.ndarray, part: str, axon: np.ndarray | None, threshold: float
) -> Fibre | None:
    mask = probability >= threshold
    if not mask.any():
        return None
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    cut = mask[window]
    inside, myelin = fibre_of_mask(cut, part=part, axon=None if axon is None else axon[window])
    return Fibre((int(rows[0]), int(columns[0])), inside, myelin, float(probability[window][cut].mean()))


def _largest(mask: np.ndarray) -> np.ndarray:
    """The largest of its components."""
    components, num_components = ndimage.label(mask)
    if num_components < 2:
        return mask
    return components == np.bincount(components.ravel())[1:].argmax() + 1
