"""Run lengths, as Kaggle's challenges write masks: ``start length start length ...``, column-major, from 1."""

from __future__ import annotations

import numpy as np

__all__ = ["decode_rle", "encode_rle", "parse_rle"]

EMPTY = "0 0"


def encode_rle(mask: np.ndarray) -> str:
    """Run lengths of a mask.

    Parameters
    ----------
    mask : ndarray of bool, shape (Y, X)
        Any other dtype counts as True where it is not 0.

    Returns
    -------
    str
        Starts, counted from 1 down the columns, and lengths, in order; ``0 0`` where nothing is set.
    """
    column_major = np.asarray(mask).astype(bool, copy=False).ravel(order="F")
    borders = np.flatnonzero(column_major[1:] != column_major[:-1]) + 1
    if column_major.size and column_major[0]:
        borders = np.concatenate([[0], borders])
    if column_major.size and column_major[-1]:
        borders = np.concatenate([borders, [column_major.size]])
    if not borders.size:
        return EMPTY
    runs = borders.reshape(-1, 2)
    return " ".join(map(str, np.column_stack([runs[:, 0] + 1, runs[:, 1] - runs[:, 0]]).ravel().tolist()))


def decode_rle(encoding: str, shape: tuple[int, int]) -> np.ndarray:
    """Mask of run lengths.

    Parameters
    ----------
    encoding : str
        As `encode_rle` writes it; runs may come in any order. Nothing and ``0 0`` mean an empty mask.
    shape : tuple of int
        Shape (Y, X) of the image.

    Returns
    -------
    ndarray of bool, shape (Y, X)
        In Fortran order.

    Raises
    ------
    ValueError
        As `parse_rle`.
    """
    starts, lengths = parse_rle(encoding, shape)
    mask = np.zeros(shape[0] * shape[1], bool)
    order = np.argsort(lengths, kind="stable")
    starts, lengths = starts[order], lengths[order]
    bounds = np.flatnonzero(np.diff(lengths, prepend=0, append=0))
    for first, last in zip(bounds[:-1], bounds[1:], strict=True):  # all runs of one length at a time
        windows = np.lib.stride_tricks.sliding_window_view(mask, lengths[first], writeable=True)
        windows[starts[first:last]] = True
    return mask.reshape(shape[::-1]).T


def parse_rle(encoding: str, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Runs of a mask, checked.

    Parameters
    ----------
    encoding : str
        As for `decode_rle`.
    shape : tuple of int
        Shape (Y, X) of the image.

    Returns
    -------
    starts, lengths : ndarray of int64, shape (n,)
        Starts counted from 0 down the columns, ascending.

    Raises
    ------
    ValueError
        If there is anything but whole numbers, an odd number of them, a length or start below 1, a run past the
        image's end, or two runs overlap.
    """
    runs = _numbers(encoding)
    if not runs.size or encoding.split() == EMPTY.split():
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if runs.size % 2:
        raise ValueError(f"{runs.size} values, expected pairs of start and length; export the run lengths again")
    starts, lengths = runs[::2] - 1, runs[1::2]
    num_pixels = shape[0] * shape[1]
    _refuse(starts, lengths, lengths < 1, "its length is below 1; leave it out")
    _refuse(starts, lengths, starts < 0, "it starts before pixel 1; count from 1")
    past = (starts > num_pixels) | (lengths > num_pixels - starts)
    _refuse(starts, lengths, past, f"it runs past the {num_pixels} pixels of {shape[0]} x {shape[1]}; check the image")
    order = np.argsort(starts, kind="stable")
    starts, lengths = starts[order], lengths[order]
    overlaps = np.append(starts[:-1] + lengths[:-1] > starts[1:], False)
    _refuse(starts, lengths, overlaps, "it overlaps the next one; merge the two")
    return starts, lengths


def _numbers(encoding: str) -> np.ndarray:
    try:
        return np.array(encoding.split(), np.int64)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{error}; expected whole numbers, start and length in turn") from error


def _refuse(starts: np.ndarray, lengths: np.ndarray, bad: np.ndarray, reason: str) -> None:
    """ValueError that tells the first bad run as it is written in the file, if there is any."""
    if bad.any():
        first = int(bad.argmax())
        raise ValueError(f"run {starts[first] + 1} {lengths[first]}: {reason}")
