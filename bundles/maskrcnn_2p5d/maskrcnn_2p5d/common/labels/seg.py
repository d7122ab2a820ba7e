"""SEG of the Cell Tracking Challenge, and the overlap table that it and the other measures come from."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

__all__ = ["Matches", "Overlaps", "count_overlaps", "match", "seg"]

BLOCK_PX = 1 << 19  # small enough for the processor's cache
MAX_LOOKUP = 1 << 16  # labels up to this one are numbered by a lookup table, without a sort
MAX_TABLE = 1 << 22  # pairs of labels that are counted in one dense table, without a sort


@dataclass(frozen=True)
class Overlaps:
    """Sizes of the objects of two label images, and of every overlap between them, in pixels.

    Attributes
    ----------
    reference_labels, result_labels : ndarray of int, shape (n,) and (m,)
        Labels in ascending order, without the background.
    reference_sizes, result_sizes : ndarray of int, shape (n,) and (m,)
        Pixels of each object.
    references, results : ndarray of int, shape (p,)
        Every pair of objects that overlap, as indices into the above.
    pixels : ndarray of int, shape (p,)
        Pixels that the two have in common.
    """

    reference_labels: np.ndarray
    result_labels: np.ndarray
    reference_sizes: np.ndarray
    result_sizes: np.ndarray
    references: np.ndarray
    results: np.ndarray
    pixels: np.ndarray

    @cached_property
    def ious(self) -> np.ndarray:
        """IoU of every overlapping pair, shape (p,)."""
        return self.pixels / (self.reference_sizes[self.references] + self.result_sizes[self.results] - self.pixels)

    @cached_property
    def covered(self) -> np.ndarray:
        """Whether more than half of the pair's reference object lies in its result object, shape (p,)."""
        return 2 * self.pixels > self.reference_sizes[self.references]


@dataclass(frozen=True)
class Matches:
    """One row per reference object: its label, the result object that matches it (0: none), and their IoU."""

    labels: np.ndarray
    results: np.ndarray
    ious: np.ndarray


def seg(reference: np.ndarray, result: np.ndarray) -> float:
    """SEG of one frame: mean IoU of the reference objects with the result objects that cover more than half of them.

    Parameters
    ----------
    reference, result : ndarray of int, shape (Y, X) or (Z, Y, X)
        Label images on the same pixel grid; 0 is background.

    Returns
    -------
    float
        In [0, 1]; an object that is not matched counts 0. NaN if there is no reference object.

    Raises
    ------
    ValueError
        If the shapes differ or the labels are not integers of at least 0.

    References
    ----------
    .. [1] Maška et al. (2014), doi:10.1093/bioinformatics/btu080
    .. [2] Ulman et al. (2017), doi:10.1038/nmeth.4473
    """
    ious = match(count_overlaps(reference, result)).ious
    return float(ious.mean()) if ious.size else float("nan")


def match(overlaps: Overlaps) -> Matches:
    """The result object that covers more than half of each reference object; there is at most one.

    Parameters
    ----------
    overlaps : Overlaps
        Overlap table of a frame.

    Returns
    -------
    Matches
        In order of the reference labels; IoU 0 where nothing matches.
    """
    covered = overlaps.covered
    results = np.zeros(len(overlaps.reference_labels), overlaps.result_labels.dtype)
    ious = np.zeros(len(overlaps.reference_labels))
    results[overlaps.references[covered]] = overlaps.result_labels[overlaps.results[covered]]
    ious[overlaps.references[covered]] = overlaps.ious[covered]
    return Matches(overlaps.reference_labels, results, ious)


def count_overlaps(reference: np.ndarray, result: np.ndarray) -> Overlaps:
    """Overlap table of two label images.

    The images are walked through once, in blocks, and cut into runs of pixels that have the same two labels. There are
    few of them, so that whatever follows costs little time and memory.

    Parameters
    ----------
    reference, result : ndarray of int, any shape
        Label images on the same pixel grid; 0 is background, labels may have gaps.

    Returns
    -------
    Overlaps

    Raises
    ------
    ValueError
        If the shapes differ or the labels are not integers of at least 0.
    """
    if reference.shape != result.shape:
        raise ValueError(
            f"reference {reference.shape} and result {result.shape} differ in shape; crop both to one field"
        )
    for name, image in (("reference", reference), ("result", result)):
        if image.dtype.kind not in "iu":
            raise ValueError(f"{name}: labels are {image.dtype}, expected integers; give one whole number per object")
    rows, columns, lengths = _find_runs(reference, result)
    for name, labels in (("reference", rows), ("result", columns)):
        if labels.min(initial=0) < 0:
            raise ValueError(f"{name}: label {labels.min()}, expected 0 for background and positive numbers")
    (row_labels, rows), (column_labels, columns) = _number(rows), _number(columns)
    codes, pixels = _sum_by_code(rows * len(column_labels) + columns, lengths, len(row_labels) * len(column_labels))
    return _tabulate(row_labels, column_labels, *np.divmod(codes, len(column_labels)), pixels)


def _find_runs(reference: np.ndarray, result: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reference label, result label and length of every run of pixels that have the same two."""
    order: Literal["F", "C"] = "F" if reference.flags.f_contiguous and result.flags.f_contiguous else "C"
    reference, result = reference.ravel(order), result.ravel(order)
    blocks = [np.zeros(min(reference.size, 1), np.intp)]
    for first in range(1, reference.size, BLOCK_PX):
        stop = min(first + BLOCK_PX, reference.size)
        changed = reference[first:stop] != reference[first - 1 : stop - 1]
        changed |= result[first:stop] != result[first - 1 : stop - 1]
        blocks.append(np.flatnonzero(changed) + first)
    starts = np.concatenate(blocks)
    return reference.take(starts), result.take(starts), np.diff(starts, append=reference.size)


def _number(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels that occur, in ascending order after 0, and the index of every label among them."""
    highest = labels.max(initial=0)
    if highest > MAX_LOOKUP:
        distinct, indices = np.unique(np.append(labels, labels.dtype.type(0)), return_inverse=True)
        return distinct, indices[:-1]
    labels = labels.astype(np.intp)  # what NumPy would otherwise do at each use
    present = np.zeros(int(highest) + 1, bool)
    present[labels] = present[0] = True
    return np.flatnonzero(present), (np.cumsum(present) - 1).take(labels)


def _sum_by_code(codes: np.ndarray, pixels: np.ndarray, num_codes: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes that occur, in ascending order, and the sum of their pixels."""
    if num_codes <= MAX_TABLE:
        table = np.bincount(codes, weights=pixels)
        codes = np.flatnonzero(table != 0)
        return codes, table[codes].astype(np.int64)
    codes, indices = np.unique(codes, return_inverse=True)
    return codes, _sum_by(indices, pixels, len(codes))


def _tabulate(
    row_labels: np.ndarray, column_labels: np.ndarray, rows: np.ndarray, columns: np.ndarray, pixels: np.ndarray
) -> Overlaps:
    """Overlaps from the pairs of labels that occur, given as indices; index 0 is background."""
    both = (rows > 0) & (columns > 0)
    return Overlaps(
        reference_labels=row_labels[1:],
        result_labels=column_labels[1:],
        reference_sizes=_sum_by(rows, pixels, len(row_labels))[1:],
        result_sizes=_sum_by(columns, pixels, len(column_labels))[1:],
        references=rows[both] - 1,
        results=columns[both] - 1,
        pixels=pixels[both],
    )


def _sum_by(index: np.ndarray, values: np.ndarray, length: int) -> np.ndarray:
    """Sums of the values with each index."""
    return np.bincount(index, weights=values, minlength=length).astype(np.int64)
