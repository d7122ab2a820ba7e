"""Gray values that stand for all of an image, so that a block is scaled as the whole image would be."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from common.errors import InputError

__all__ = ["SAMPLE_SIZE", "gray_sample"]

SAMPLE_SIZE = (1 << 16) + 1
LOOKED_AT = 1 << 22  # pixels of types that are not counted one value at a time


def gray_sample(pieces: Iterable[np.ndarray], num_pixels: int) -> np.ndarray:
    """Gray values at evenly spaced ranks, from the lowest to the highest of an image that is read in pieces.

    Integers of up to 16 bit are counted, so that every percentile is that of the whole image to within one of 65,537
    ranks. Of other types every k-th pixel is looked at, four million in all, as for a whole volume; extremes that
    these miss are missed. The mean and the standard deviation, also of clipped values, are close to the image's.

    Parameters
    ----------
    pieces : iterable of ndarray
        All pixels, each once, of one type.
    num_pixels : int
        Of the image.

    Returns
    -------
    ndarray, shape (n,)
        In ascending order, of the image's type; all pixels of a small image.

    Raises
    ------
    InputError
        If a value is NaN or infinite.
    """
    counts: np.ndarray | None = None
    looked_at = []
    step, begin, kind, lowest = max(1, num_pixels // LOOKED_AT), 0, np.dtype(np.uint8), 0
    for piece in pieces:
        kind = piece.dtype
        if kind.kind in "ui" and kind.itemsize <= 2:
            lowest = int(np.iinfo(kind).min)
            found = np.bincount(piece.ravel().astype(np.int64) - lowest, minlength=np.iinfo(kind).max - lowest + 1)
            counts = found if counts is None else counts + found
            continue
        if kind.kind == "f" and not np.isfinite(piece).all():
            raise InputError("holds NaN or infinite pixels; replace them before segmenting")
        looked_at.append(piece.ravel()[begin::step].copy())
        begin = (begin - piece.size) % step
    if counts is None:
        values = np.sort(np.concatenate([*looked_at, np.empty(0, kind)]))
        return values[_ranks(len(values))]
    ends = np.cumsum(counts)
    return (np.searchsorted(ends, _ranks(int(ends[-1])), side="right") + lowest).astype(kind)


def _ranks(count: int) -> np.ndarray:
    if count <= SAMPLE_SIZE:
        return np.arange(count)
    return np.array([rank * (count - 1) // (SAMPLE_SIZE - 1) for rank in range(SAMPLE_SIZE)])
