"""Gray values that stand for all of an image, so that a block is scaled as the whole image would be."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from common.errors import InputError

__all__ = ["LOOKED_AT", "SAMPLE_SIZE", "gray_sample", "on_grid"]

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


def on_grid(
    pixels: np.ndarray,
    origin: Sequence[int],
    core: Sequence[tuple[int, int]],
    shape: Sequence[int],
    ratios: Sequence[float],
    step: int,
) -> np.ndarray:
    """Gray values of a part of an image where another grid has its pixels, by cubic splines, as MONAI's Spacing does.

    Parameters
    ----------
    pixels : ndarray
        The part, and some pixels around it.
    origin : sequence of int
        Where they begin in the image.
    core : sequence of (int, int)
        Start and stop of the part in the image.
    shape : sequence of int
        Of the image.
    ratios : sequence of float
        How many pixels of the image one of the other grid is; both begin at the same pixel.
    step : int
        Of the other grid's pixels in the part only every such one is looked at.

    Returns
    -------
    ndarray of float32, shape (n,)
    """
    import torch  # slow to import, as what needs it is

    from common.resampling import resample_axes

    first, counts = [], []
    for (start, stop), length, ratio in zip(core, shape, ratios, strict=True):
        first.append(math.ceil(start / ratio - 1e-9))
        last = math.ceil(stop / ratio - 1e-9) if stop < length else round((length - 1) / ratio + 1)
        counts.append(last - first[-1])
    offsets = [place * ratio - begin for place, ratio, begin in zip(first, ratios, origin, strict=True)]
    part = torch.from_numpy(pixels.astype(np.float32))
    return resample_axes(part[None], ratios, offsets, counts).numpy().ravel()[::step].copy()


def _ranks(count: int) -> np.ndarray:
    if count <= SAMPLE_SIZE:
        return np.arange(count)
    return np.array([rank * (count - 1) // (SAMPLE_SIZE - 1) for rank in range(SAMPLE_SIZE)])
