"""Run lengths of whole slides, gathered in one CSV file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .common.labels.run_lengths import encode_rle, parse_rle
from .common.tables import put_row
from .crypts import Crypt, paint

__all__ = ["COLUMNS", "encode_crypts", "put_run_lengths"]

COLUMNS = ["id", "predicted"]
STRIP = 512


def encode_crypts(crypts: Sequence[Crypt], shape: tuple[int, int], *, strip: int = STRIP) -> str:
    """Run lengths of the crypts' mask, made strip by strip.

    Parameters
    ----------
    crypts : sequence of Crypt
        In slide pixels.
    shape : tuple of int
        Shape (Y, X) of the slide.
    strip : int
        Columns that are in memory at once.

    Returns
    -------
    str
        What `encode_rle` makes of the whole mask.
    """
    height, width = shape
    starts, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for left in range(0, width, strip):
        mask = paint(crypts, 0, left, height, min(strip, width - left))
        in_strip = parse_rle(encode_rle(mask), mask.shape)
        starts.append(in_strip[0] + left * height)
        lengths.append(in_strip[1])
    return _join(np.concatenate(starts), np.concatenate(lengths))


def put_run_lengths(path: Path, identifier: str, encoding: str) -> None:
    """Add a slide's row to a CSV file, or replace it; all other rows stay, also those that other processes add.

    Parameters
    ----------
    path : Path
        File with the columns id and predicted, which need not exist yet.
    identifier : str
        Name of the slide.
    encoding : str
        Its run lengths.

    Raises
    ------
    InputError
        If there is a file that is not such a table.
    """
    put_row(path, COLUMNS, (identifier, encoding), thing="slide")


def _join(starts: np.ndarray, lengths: np.ndarray) -> str:
    """Text of runs counted from 0, ascending, of which those that touch become one."""
    if not starts.size:
        return encode_rle(np.zeros((1, 1), bool))
    ends = starts + lengths
    is_gap = ends[:-1] < starts[1:]
    starts, ends = starts[np.append(True, is_gap)], ends[np.append(is_gap, True)]
    return " ".join(map(str, np.column_stack([starts + 1, ends - starts]).ravel().tolist()))
