"""Objects of neighbouring slices linked into objects of the volume, one slice after the other."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.optimize import linear_sum_assignment

from .common.errors import InputError
from .common.labels.seg import Overlaps, count_overlaps
from .detections import SliceObjects

__all__ = ["LinkedVolume", "SliceLinker", "interpolate_shape", "link_slices", "match_slices"]


@dataclass(frozen=True)
class LinkedVolume:
    """Objects of a volume.

    Attributes
    ----------
    labels : ndarray of int32, shape (Z, Y, X)
        0 is background; objects are 1..n, the uppermost first.
    scores : ndarray of float32, shape (n,)
        Mean score of object i + 1 over the slices in which it was detected.
    """

    labels: np.ndarray
    scores: np.ndarray


def match_slices(overlaps: Overlaps, min_iou: float) -> np.ndarray:
    """Pairs of objects of two slices: the assignment with the largest total IoU.

    Parameters
    ----------
    overlaps : Overlaps
        Overlap table of the two label images.
    min_iou : float
        Smallest IoU of a pair.

    Returns
    -------
    ndarray of int, shape (m, 2)
        Reference label and result label of every pair; each label at most once.
    """
    (possible,) = np.nonzero(overlaps.ious >= min_iou)
    rows, columns = overlaps.references[possible], overlaps.results[possible]
    alone = (np.bincount(rows)[rows] == 1) & (np.bincount(columns)[columns] == 1)
    disputed = possible[~alone]  # few, so that the table below stays small in slices of thousands of objects
    kept = np.concatenate([possible[alone], disputed[_assign(overlaps, disputed)]])
    return np.column_stack(
        [overlaps.reference_labels[overlaps.references[kept]], overlaps.result_labels[overlaps.results[kept]]]
    )


def _assign(overlaps: Overlaps, pairs: np.ndarray) -> np.ndarray:
    """Which of the pairs, given as indices into the table, have the largest total IoU: indices into ``pairs``."""
    row_names, rows = np.unique(overlaps.references[pairs], return_inverse=True)
    column_names, columns = np.unique(overlaps.results[pairs], return_inverse=True)
    ious, index = np.zeros((2, len(row_names), len(column_names)))
    ious[rows, columns], index[rows, columns] = overlaps.ious[pairs], np.arange(len(pairs))
    chosen = linear_sum_assignment(ious, maximize=True)
    return index[chosen][ious[chosen] > 0].astype(int)


@dataclass
class _Seen:
    """A slice that later ones may link to: its tracks, and which of them have not gone on since."""

    tracks: np.ndarray
    ending: np.ndarray


class SliceLinker:
    """Links label images of slices as they come; keeps only as many as a gap can span.

    An object of a new slice goes on with a track that it overlaps: first with those seen in the slice before, then,
    among what is left on both sides, with those last seen two slices before, and so on. A track takes one object per
    slice at most. Where it was missed in between, its shape is interpolated into the background.

    Parameters
    ----------
    min_iou : float
        Smallest IoU of an object's mask with the mask of the track's last one, from 0 to below 1.
    max_gap : int
        Largest number of slices in which an object may be missed and still go on.
    min_slices : int
        Objects detected in fewer slices are dropped; in a volume of fewer slices, all of them count.
    fill_gaps : bool
        Whether missed slices are filled. An object that lies wholly behind others there stays in two pieces.

    Raises
    ------
    InputError
        If a setting is out of range.
    """

    def __init__(self, *, min_iou: float = 0.3, max_gap: int = 1, min_slices: int = 2, fill_gaps: bool = True) -> None:
        if not 0 <= min_iou < 1:
            raise InputError(f"min_iou is {min_iou!r}, expected a number from 0 to below 1")
        if max_gap < 0 or max_gap != int(max_gap):
            raise InputError(f"max_gap is {max_gap!r}, expected a whole number of slices from 0")
        if min_slices < 1 or min_slices != int(min_slices):
            raise InputError(f"min_slices is {min_slices!r}, expected a whole number of slices from 1")
        self.min_iou, self.max_gap, self.min_slices, self.fill_gaps = min_iou, int(max_gap), int(min_slices), fill_gaps
        self._window: deque[_Seen] = deque()
        self._num_added = 0
        # of track i, at index i; track 0 is background
        self._lengths, self._sums = [0], [0.0]

    def add(self, labels: np.ndarray, scores: np.ndarray | None = None) -> list[np.ndarray]:
        """Link the next slice.

        Parameters
        ----------
        labels : ndarray of int, shape (Y, X)
            Objects of the slice; 0 is background.
        scores : ndarray of float, shape (n,), optional
            Score of label i at i - 1; 1 for all without it.

        Returns
        -------
        list of ndarray of int32, shape (Y, X)
            Slices that nothing can change any more, in order; the numbers in them are tracks, see `finish`.

        Raises
        ------
        ValueError
            If the labels are not integers of at least 0, a label has no score, or the slices differ in shape.
        """
        present = _present(labels)
        if scores is not None and len(present) and present[-1] > len(scores):
            raise ValueError(f"label {present[-1]} but {len(scores)} scores; give one per label, in order")
        links = self._find_links(labels, present)
        new = np.setdiff1d(present, [label for label, _, _ in links])
        tracks = {label: track for label, track, _ in links}
        tracks.update(zip(new.tolist(), range(len(self._lengths), len(self._lengths) + len(new)), strict=True))
        self._lengths += [0] * len(new)
        self._sums += [0.0] * len(new)
        for label, track in tracks.items():
            self._lengths[track] += 1
            self._sums[track] += 1.0 if scores is None else float(scores[label - 1])
        for label, track, distance in links:
            if distance > 1 and self.fill_gaps:
                self._fill(track, labels, label, distance)
        self._window.append(_Seen(_renumber(labels, tracks), np.array(sorted(tracks.values()), np.int64)))
        self._num_added += 1
        return [self._window.popleft().tracks] if len(self._window) > self.max_gap + 1 else []

    def finish(self) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """End the volume.

        Returns
        -------
        slices : list of ndarray of int32, shape (Y, X)
            The last slices, as from `add`.
        numbers : ndarray of int32, shape (number of tracks + 1,)
            Final number of each track, 1..n in order of appearance; 0 for background and tracks that are too short.
        scores : ndarray of float32, shape (n,)
            Mean score of every object.
        """
        slices = [seen.tracks for seen in self._window]
        self._window.clear()
        lengths = np.array(self._lengths)
        kept = lengths >= max(1, min(self.min_slices, self._num_added))
        numbers = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
        return slices, numbers, (np.array(self._sums)[kept] / lengths[kept]).astype(np.float32)

    def _find_links(self, labels: np.ndarray, present: np.ndarray) -> list[tuple[int, int, int]]:
        """Label, track and distance in slices of everything that goes on; these tracks no longer end where they did."""
        links: list[tuple[int, int, int]] = []
        for distance, seen in enumerate(reversed(self._window), start=1):
            free = np.setdiff1d(present, [label for label, _, _ in links])
            if not free.size:
                break
            if seen.ending.size:
                overlaps = _only(count_overlaps(seen.tracks, labels), seen.ending, free)
                pairs = match_slices(overlaps, self.min_iou)
                links += [(label, track, distance) for track, label in pairs.tolist()]
                seen.ending = np.setdiff1d(seen.ending, pairs[:, 0])
        return links

    def _fill(self, track: int, labels: np.ndarray, label: int, distance: int) -> None:
        """Draw a track into the slices between the last one that it was seen in and the new one."""
        before = self._window[-distance].tracks
        window = _common_window(before, track, labels, label)
        first, second = before[window] == track, labels[window] == label
        for step in range(1, distance):
            between = self._window[step - distance].tracks[window]
            between[interpolate_shape(first, second, step / distance) & (between == 0)] = track


def link_slices(slices: Iterable[SliceObjects], shape: Sequence[int], **settings) -> LinkedVolume:
    """Link slices as they come; nothing but the result grows with their number.

    Parameters
    ----------
    slices : iterable of SliceObjects
        From the first to the last one.
    shape : sequence of int
        Shape (Z, Y, X) of the volume.
    **settings
        As for `SliceLinker`.

    Returns
    -------
    LinkedVolume
    """
    linker, volume, done = SliceLinker(**settings), np.zeros(shape, np.int32), 0
    for objects in slices:
        for finished in linker.add(objects.labels, objects.scores):
            volume[done] = finished
            done += 1
    last, numbers, scores = linker.finish()
    for finished in last:
        volume[done] = finished
        done += 1
    if done != len(volume):
        raise ValueError(f"{done} slices for a volume of shape {tuple(shape)}; give one per slice")
    for plane in volume:
        plane[:] = numbers.take(plane)
    return LinkedVolume(volume, scores)


def _present(labels: np.ndarray) -> np.ndarray:
    """Labels that occur, in ascending order, without the background."""
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise ValueError(f"labels are {labels.dtype} of shape {labels.shape}, expected integers of shape (Y, X)")
    flat = labels.ravel()
    (ends,) = np.nonzero(flat[1:] != flat[:-1])  # one pixel per run of equal ones is enough
    present = np.unique(np.append(flat[ends], flat[-1:])).astype(np.int64)
    if present.size and present[0] < 0:
        raise ValueError(f"label {present[0]}, expected 0 for background and positive numbers")
    return present[present > 0]


def _common_window(first: np.ndarray, first_label: int, second: np.ndarray, second_label: int) -> tuple[slice, slice]:
    """Smallest window that holds an object of each of two slices."""
    pixels = np.concatenate([np.flatnonzero(first == first_label), np.flatnonzero(second == second_label)])
    rows, columns = np.divmod(pixels, first.shape[1])
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def _renumber(labels: np.ndarray, tracks: dict[int, int]) -> np.ndarray:
    """The labels with each one replaced by its track."""
    highest = max(tracks, default=0)
    if highest <= labels.size + 2**16:
        numbers = np.zeros(highest + 1, np.int32)
        numbers[list(tracks)] = list(tracks.values())
        return numbers.take(labels)
    present, indices = np.unique(labels, return_inverse=True)
    return np.array([tracks.get(label, 0) for label in present.tolist()], np.int32)[indices].reshape(labels.shape)


def _only(overlaps: Overlaps, references: np.ndarray, results: np.ndarray) -> Overlaps:
    """The table without the pairs whose objects are taken already."""
    kept = np.isin(overlaps.reference_labels, references)[overlaps.references]
    kept &= np.isin(overlaps.result_labels, results)[overlaps.results]
    return Overlaps(
        overlaps.reference_labels,
        overlaps.result_labels,
        overlaps.reference_sizes,
        overlaps.result_sizes,
        overlaps.references[kept],
        overlaps.results[kept],
        overlaps.pixels[kept],
    )


def interpolate_shape(first: np.ndarray, second: np.ndarray, fraction: float) -> np.ndarray:
    """Mask between two masks, from the weighted mean of their signed distances to the border.

    It holds all that the two have in common.

    Parameters
    ----------
    first, second : ndarray of bool, shape (Y, X)
        Masks of one object in two slices, neither empty; what lies beyond them counts as background.
    fraction : float
        Place between them, from 0 (the first) to 1 (the second).

    Returns
    -------
    ndarray of bool, shape (Y, X)

    References
    ----------
    .. [1] Raya & Udupa (1990), doi:10.1109/42.52980
    """
    return (1 - fraction) * _signed_distance(first) + fraction * _signed_distance(second) > 0


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """Distance of each pixel to the nearest one on the other side of the border, negative outside the mask."""
    padded = np.pad(mask, 1)
    return (distance_transform_edt(padded) - distance_transform_edt(~padded))[1:-1, 1:-1]
