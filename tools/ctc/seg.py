"""SEG of the Cell Tracking Challenge, and the overlap table that it and the other measures come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

__all__ = ["Matches", "Overlaps", "count_overlaps", "match", "seg"]

BLOCK_PX = 1 << 18  # small enough for the processor's cache
MAX_TABLE = 1 << 22  # pairs of labels that are counted in one dense table
LOOKUP_SHARE = 4  # a lookup table of labels holds at most one entry per that many pixels


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

    The images are walked through once, in blocks, so that besides them only little memory is needed. Each pixel's two
    labels become one number, which is counted unless both are background.

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
    _check(reference, result)
    order = "F" if reference.flags.f_contiguous and result.flags.f_contiguous else "C"
    images = reference.ravel(order), result.ravel(order)
    highest = [int(image.max(initial=0)) for image in images]
    if (highest[0] + 1) * (highest[1] + 1) <= MAX_TABLE:
        labels, to_indices = [np.arange(label + 1) for label in highest], None
    else:
        labels, to_indices = zip(*map(_renumber, images, highest), strict=True)
    codes, pixels = _count(images, to_indices, num_rows=len(labels[0]), num_columns=len(labels[1]))
    return _tabulate(*labels, *np.divmod(codes, len(labels[1])), pixels)


def _check(reference: np.ndarray, result: np.ndarray) -> None:
    """Refuse what is not a pair of label images."""
    if reference.shape != result.shape:
        raise ValueError(
            f"reference {reference.shape} and result {result.shape} differ in shape; crop both to one field"
        )
    for name, image in (("reference", reference), ("result", result)):
        if image.dtype.kind not in "iu":
            raise ValueError(f"{name}: labels are {image.dtype}, expected integers; give one whole number per object")
        if image.dtype.kind == "i" and image.min(initial=0) < 0:
            raise ValueError(f"{name}: label {image.min()}, expected 0 for background and positive numbers for objects")


def _renumber(image: np.ndarray, highest: int) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Labels that occur, 0 first, and the function that turns a block of labels into indices of them."""
    if LOOKUP_SHARE * highest < image.size:
        present = np.zeros(highest + 1, bool)
        present[0] = True
        for part in _blocks(image.size, BLOCK_PX):
            present[image[part][image[part] != 0]] = True
        return np.flatnonzero(present), (np.cumsum(present, dtype=np.int32) - 1).take
    distinct = [np.unique(image[part]) for part in _blocks(image.size, BLOCK_PX)]
    labels = np.unique(np.concatenate([np.zeros(1, image.dtype), *distinct]))
    return labels, partial(np.searchsorted, labels)


def _blocks(size: int, length: int) -> Iterator[slice]:
    return (slice(start, start + length) for start in range(0, size, length))


def _count(
    images: tuple[np.ndarray, np.ndarray],
    to_indices: tuple[Callable, Callable] | None,
    *,
    num_rows: int,
    num_columns: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Codes, row * num_columns + column, of the pairs of labels that occur, in ascending order, and their pixels.

    Where ``to_indices`` is None, the labels themselves are rows and columns.
    """
    num_codes = num_rows * num_columns
    dtype = np.uint16 if num_codes <= 1 << 16 else np.int32 if num_codes <= 1 << 31 else np.int64
    dense = num_codes <= MAX_TABLE
    table, found = np.zeros(num_codes if dense else 0, np.int64), []
    for part in _blocks(images[0].size, max(BLOCK_PX, len(table))):
        rows, columns = (image[part] for image in images)
        if to_indices:
            foreground = (rows != 0) | (columns != 0)
            rows, columns = to_indices[0](rows[foreground]), to_indices[1](columns[foreground])
        codes = np.multiply(rows, num_columns, dtype=dtype, casting="unsafe")
        np.add(codes, columns, out=codes, dtype=dtype, casting="unsafe")
        codes = codes[codes != 0]
        if dense:
            table += np.bincount(codes, minlength=num_codes)
        else:
            found.append(np.unique(codes, return_counts=True))
    if dense:
        codes = np.flatnonzero(table)
        return codes, table[codes]
    codes, inverse = np.unique(np.concatenate([codes for codes, _ in found]), return_inverse=True)
    return codes, _sum_by(inverse, np.concatenate([pixels for _, pixels in found]), len(codes))


def _tabulate(
    row_labels: np.ndarray, column_labels: np.ndarray, rows: np.ndarray, columns: np.ndarray, pixels: np.ndarray
) -> Overlaps:
    """Overlaps from the pairs of labels that occur, given as indices; index 0 is background."""
    row_sizes, column_sizes = _sum_by(rows, pixels, len(row_labels)), _sum_by(columns, pixels, len(column_labels))
    row_sizes[0] = column_sizes[0] = 0
    kept_rows, kept_columns = np.flatnonzero(row_sizes), np.flatnonzero(column_sizes)
    both = (rows > 0) & (columns > 0)
    return Overlaps(
        reference_labels=row_labels[kept_rows],
        result_labels=column_labels[kept_columns],
        reference_sizes=row_sizes[kept_rows],
        result_sizes=column_sizes[kept_columns],
        references=np.searchsorted(kept_rows, rows[both]),
        results=np.searchsorted(kept_columns, columns[both]),
        pixels=pixels[both],
    )


def _sum_by(index: np.ndarray, values: np.ndarray, length: int) -> np.ndarray:
    """Sums of the values with each index."""
    return np.bincount(index, weights=values, minlength=length).astype(np.int64)
