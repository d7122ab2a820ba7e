"""Run lengths written and read by loops in Python over the runs, to compare with."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import numpy as np

__all__ = ["decode_by_loop", "encode_by_groupby", "encode_by_search"]


def decode_by_loop(encoding: str, shape: tuple[int, int], *, row_major: bool = True) -> np.ndarray:
    """Mask of run lengths, one slice of the flat mask set after the other; nothing is checked.

    Parameters
    ----------
    encoding : str
        Starts, counted from 1 down the columns, and lengths in turn.
    shape : tuple of int
        Shape (Y, X) of the image.
    row_major : bool
        False leaves the mask as a view of its columns, which is cheap here and costs those who use it.

    Returns
    -------
    ndarray of bool, shape (Y, X)
    """
    numbers = list(map(int, encoding.split()))
    mask = np.zeros(shape[0] * shape[1], bool)
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        mask[start - 1 : start - 1 + length] = True
    mask = mask.reshape(shape, order="F")
    return np.ascontiguousarray(mask) if row_major else mask


def encode_by_groupby(mask: np.ndarray) -> str:
    """Run lengths of a mask, by `itertools.groupby` over its pixels down the columns.

    Parameters
    ----------
    mask : ndarray of bool, shape (Y, X)

    Returns
    -------
    str
        As `decode_by_loop` reads it; ``0 0`` where nothing is set.
    """
    runs, position = [], 1
    for value, pixels in groupby(mask.T.tobytes()):
        length = len(list(pixels))
        if value:
            runs.append((position, length))
        position += length
    return _as_text(runs)


def encode_by_search(mask: np.ndarray) -> str:
    """The same, by a loop that has `bytes.find` look for the next start and the next end: the fastest loop we know."""
    pixels, runs, end = mask.T.tobytes(), [], 0
    while (start := pixels.find(b"\1", end)) >= 0:
        end = pixels.find(b"\0", start)
        end = len(pixels) if end < 0 else end
        runs.append((start + 1, end - start))
    return _as_text(runs)


def _as_text(runs: Iterable[tuple[int, int]]) -> str:
    return " ".join(f"{start} {length}" for start, length in runs) or "0 0"
