"""Objects of neighbouring blocks that are the same, and numbers for all objects of an image."""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from common.labels.seg import count_overlaps

__all__ = ["MIN_IOU", "number_through", "same_objects"]

MIN_IOU = 0.5  # above it an object is the same as one other at most


def same_objects(first: np.ndarray, second: np.ndarray, *, min_iou: float = MIN_IOU) -> np.ndarray:
    """Objects that two blocks both found where they overlap.

    Parameters
    ----------
    first, second : ndarray of int, same shape
        Labels of either block in what their regions have in common; 0 is background.
    min_iou : float
        In [0.5, 1). Objects are the same if their IoU, within what is common, is above it.

    Returns
    -------
    ndarray of int, shape (n, 2)
        Label in ``first``, label in ``second``; no label twice in a column.
    """
    overlaps = count_overlaps(first, second)
    same = overlaps.ious > min_iou
    pairs = overlaps.reference_labels[overlaps.references[same]], overlaps.result_labels[overlaps.results[same]]
    return np.stack(pairs, axis=1).astype(np.int64).reshape(-1, 2)


def number_through(
    present: Sequence[np.ndarray], pairs: Iterable[tuple[int, int, np.ndarray]]
) -> tuple[list[np.ndarray], int]:
    """Number the objects of all blocks from 1; parts of one object get the same number.

    Parameters
    ----------
    present : sequence of ndarray of int
        For every block the labels that are to be written, ascending, without 0.
    pairs : iterable of (int, int, ndarray)
        Two blocks, and what `same_objects` found of them.

    Returns
    -------
    numbers : list of ndarray of int64
        For every block, the new number of each of ``present``.
    num_objects : int
        The highest of them. Numbers go by the first block that an object is in, and by its label there, so that they
        do not depend on the order in which blocks were done.
    """
    starts = np.cumsum([0, *map(len, present)])
    rows, columns = [], []
    for first, second, same in pairs:
        # what is no object of either core joins nothing
        known = np.isin(same[:, 0], present[first]) & np.isin(same[:, 1], present[second])
        rows.append(starts[first] + np.searchsorted(present[first], same[known, 0]))
        columns.append(starts[second] + np.searchsorted(present[second], same[known, 1]))
    row, column = (np.concatenate([np.empty(0, np.int64), *of]) for of in (rows, columns))
    graph = coo_array((np.ones(len(row), bool), (row, column)), shape=(starts[-1], starts[-1]))
    if not starts[-1]:
        return [np.empty(0, np.int64) for _ in present], 0
    num_objects, components = connected_components(graph, directed=False)
    _, first_seen, inverse = np.unique(components, return_index=True, return_inverse=True)
    order: np.ndarray = np.empty(num_objects, np.int64)
    order[np.argsort(first_seen)] = np.arange(1, num_objects + 1)
    numbers = order[inverse]
    return [numbers[start:stop] for start, stop in itertools.pairwise(starts)], int(num_objects)
