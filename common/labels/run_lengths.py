"""Run lengths, as Kaggle's challenges write masks: ``start length start length ...``, column-major, from 1."""

import itertools

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
    borders = _borders(np.asarray(mask).astype(bool, copy=False))
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
        Row-major, as everything but the encoding is.

    Raises
    ------
    ValueError
        As `parse_rle`.
    """
    starts, lengths = parse_rle(encoding, shape)
    borders = np.column_stack([starts, starts + lengths]).ravel()
    touching = np.flatnonzero(borders[1:] == borders[:-1])
    borders = np.delete(borders, np.concatenate([touching, touching + 1]))
    height, width = shape
    x, y = np.divmod(borders[borders < height * width], height)
    changes = np.zeros(shape, np.uint8)
    changes[y, x] = 1
    from_last_column = np.searchsorted(borders, np.arange(width) * height) & 1
    changes[0] ^= from_last_column.astype(np.uint8)
    for above, row in itertools.pairwise(changes):
        np.bitwise_xor(above, row, out=row)
    return changes.view(bool)


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
    if not runs.size or (runs.size == 2 and not runs.any()):
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


def _borders(mask: np.ndarray) -> np.ndarray:
    """Column-major positions where runs start and end in turn, ascending, int64."""
    height, width = mask.shape
    y, x = np.divmod(np.flatnonzero(mask[1:] != mask[:-1]), width)
    tops = np.flatnonzero(mask[0, 1:] != mask[-1, :-1]) + 1
    ends = [0] * bool(mask[0, 0]) + [mask.size] * bool(mask[-1, -1])
    return np.sort(np.concatenate([x * height + y + 1, tops * height, np.array(ends, np.int64)]))


def _numbers(encoding: str) -> np.ndarray:
    """All numbers of a text, int64; those that do not fit are the largest that does."""
    if not encoding.strip():
        return np.zeros(0, np.int64)
    try:
        return np.fromstring(encoding, np.int64, sep=" ")
    except (ValueError, DeprecationWarning) as error:
        bad = next((word for word in encoding.split() if not word.isdecimal()), "?")
        raise ValueError(f"{bad[:20]!r} is no whole number; expected start and length in turn") from error


def _refuse(starts: np.ndarray, lengths: np.ndarray, bad: np.ndarray, reason: str) -> None:
    """ValueError that names the first bad run as it is written in the file, if there is any."""
    if bad.any():
        first = int(bad.argmax())
        raise ValueError(f"run {starts[first] + 1} {lengths[first]}: {reason}")
