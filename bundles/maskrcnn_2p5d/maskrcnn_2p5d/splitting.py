"""Objects that lie on top of each other told apart by their brightness along Z.

Out of focus an object can still be seen: its detections go on above and below it, and lead over to the next one. The
dark slice between them shows that there are two.
"""

import itertools
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

__all__ = ["axial_profiles", "cut_profile", "split_along_z", "trim_profile"]


@dataclass(frozen=True)
class _Piece:
    """Slices ``start`` to below ``stop`` of an object."""

    start: int
    stop: int
    label: int


def split_along_z(
    labels: np.ndarray, image: np.ndarray, *, max_valley: float = 0.9, min_tail: float = 0.2, min_slices: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Cut objects at their dark slices, and take off dark ends.

    Parameters
    ----------
    labels : ndarray of int32, shape (Z, Y, X)
        Objects 1..n; 0 is background.
    image : ndarray of float, shape (Z, Y, X)
        Background about 0; what is below counts as 0.
    max_valley : float
        As for `cut_profile`; 0 cuts nothing.
    min_tail : float
        As for `trim_profile`; 0 takes nothing off.
    min_slices : int
        Least number of slices on either side of a cut.

    Returns
    -------
    labels : ndarray of int32, shape (Z, Y, X)
        Objects 1..m, the uppermost first.
    parents : ndarray of int64, shape (m,)
        Which of the objects that were given object i + 1 is part of.
    """
    pieces = []
    for label, (slices, profile) in axial_profiles(labels, image).items():
        edges = [0, *cut_profile(profile, max_valley, min_slices), len(profile)]
        for start, stop in itertools.pairwise(edges):
            shift, length = trim_profile(profile[start:stop], min_tail)
            first = slices[0] + start + shift
            held = slices[(slices >= first) & (slices < first + length)]  # none if the object leaves all of them out
            pieces += [_Piece(int(held[0]), int(held[-1]) + 1, label)] if held.size else []
    pieces.sort(key=lambda piece: (piece.start, piece.label))
    changes: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, piece in enumerate(pieces, start=1):
        changes[piece.stop].insert(0, (piece.label, 0))  # before another piece of the same object begins there
        changes[piece.start].append((piece.label, number))
    numbers, result = np.zeros(labels.max(initial=0) + 1, np.int32), np.empty(labels.shape, np.int32)
    for z, plane in enumerate(labels):
        for label, number in changes[z]:
            numbers[label] = number
        numbers.take(plane, out=result[z])
    return result, np.array([piece.label for piece in pieces], np.int64)


def axial_profiles(labels: np.ndarray, image: np.ndarray) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Mean brightness of every object in each of its slices.

    Parameters
    ----------
    labels, image
        As for `split_along_z`.

    Returns
    -------
    dict of int to (ndarray of int, ndarray of float)
        Object -> its slices, and the brightness from the first to the last of them, smoothed by (1, 2, 1) / 4 with
        nothing beyond the ends; in slices that the object leaves out it is interpolated.
    """
    seen: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for z, (plane, pixels) in enumerate(zip(labels, image, strict=True)):
        areas = np.bincount(plane.ravel())
        sums = np.bincount(plane.ravel(), weights=np.maximum(pixels, 0).ravel())
        for label in (np.flatnonzero(areas[1:]) + 1).tolist():
            seen[label].append((z, sums[label] / areas[label]))
    profiles = {}
    for label, values in seen.items():
        slices, means = np.array(values).T
        filled = np.interp(np.arange(slices[0], slices[-1] + 1), slices, means)
        smooth = np.convolve(filled, [0.25, 0.5, 0.25])[1:-1]
        profiles[label] = (slices.astype(int), smooth)
    return profiles


def cut_profile(profile: np.ndarray, max_valley: float, min_slices: int) -> list[int]:
    """Where a profile falls apart, the deepest valley first, then its sides in turn.

    Parameters
    ----------
    profile : ndarray of float, shape (n,)
    max_valley : float
        A valley is a cut if it is below this fraction of the lower of the highest values on either side.
    min_slices : int
        Least length of either side.

    Returns
    -------
    list of int
        Ascending; a side begins at each, with the darkest slice of the valley.
    """
    positions = np.arange(max(min_slices, 1), len(profile) - max(min_slices, 1) + 1)
    if not positions.size:
        return []
    before, after = np.maximum.accumulate(profile), np.maximum.accumulate(profile[::-1])[::-1]
    peaks = np.minimum(before[positions - 1], after[positions])
    depths = np.where(peaks > 0, profile[positions] / np.where(peaks > 0, peaks, 1), np.inf)
    if depths.min() >= max_valley:
        return []
    middle = int(positions[depths.argmin()])
    right = [middle + cut for cut in cut_profile(profile[middle:], max_valley, min_slices)]
    return [*cut_profile(profile[:middle], max_valley, min_slices), middle, *right]


def trim_profile(profile: np.ndarray, min_tail: float) -> tuple[int, int]:
    """First index and number of the values from the first to the last one that are not dark.

    Parameters
    ----------
    profile : ndarray of float, shape (n,), n > 0
    min_tail : float
        Dark is what is below this fraction of the highest value, from 0 to 1.

    Returns
    -------
    start, length : int
    """
    (bright,) = np.nonzero(profile >= min_tail * profile.max())
    return int(bright[0]), int(bright[-1] - bright[0] + 1)
