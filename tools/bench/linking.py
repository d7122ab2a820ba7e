"""Linking of slices against the naive way: the IoU of every pair of full-frame masks, then an assignment."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np
from scipy.optimize import linear_sum_assignment

from tools.bench.in_turns import as_time, ratio_row, time_in_turns
from tools.bench.table import Row

__all__ = ["compare_linking", "dense_links", "draw_drifting_discs", "links_between"]

TARGET_SECONDS, TARGET_RATIO = 2, 10
# parts of a disc's cell; two discs of the largest radius that drift towards each other just touch
RADII, DRIFT = (0.25, 0.38), 0.12
SPEEDS = (0.1, 0.5)  # radians per slice

LinkStack = Callable[..., object]


def draw_drifting_discs(num_slices: int, num_objects: int, size: int, *, seed: int = 0) -> np.ndarray:
    """A stack of discs that never overlap within a slice, and always overlap themselves in the next one.

    Parameters
    ----------
    num_slices, num_objects : int
        Slices of the stack, and discs, each of which is in every slice.
    size : int
        Height and width in pixels.
    seed : int
        Another number gives other discs.

    Returns
    -------
    ndarray of int32, shape (num_slices, size, size)
        0 is background; the discs of a slice are 1..num_objects, in another order in every slice.
    """
    random = np.random.default_rng(seed)
    per_side = int(np.ceil(np.sqrt(num_objects)))
    cell = size / per_side
    middles = (np.column_stack(np.divmod(np.arange(num_objects), per_side)) + 0.5) * cell
    radii = cell * random.uniform(*RADII, num_objects)
    phases, speeds = random.uniform(0, 2 * np.pi, middles.shape), random.uniform(*SPEEDS, middles.shape)
    stack = np.zeros((num_slices, size, size), np.int32)
    for z, labels in enumerate(stack):
        centres = middles + DRIFT * cell * np.sin(phases + speeds * z)
        for label, centre, radius in zip(random.permutation(num_objects) + 1, centres, radii, strict=True):
            _draw_disc(labels, label, centre, radius)
    return stack


def dense_links(first: np.ndarray, second: np.ndarray, min_iou: float) -> np.ndarray:
    """Links of two slices, from the IoU of every object of one with every object of the other.

    Parameters
    ----------
    first, second : ndarray of int, shape (Y, X)
        Objects of the two slices; 0 is background.
    min_iou : float
        Smallest IoU of a pair.

    Returns
    -------
    ndarray of int, shape (m, 2)
        Labels of every pair of the assignment with the largest total IoU, in ascending order of the first.
    """
    firsts, seconds = (np.unique(labels[labels > 0]) for labels in (first, second))
    masks, others = [first == label for label in firsts], [second == label for label in seconds]
    ious = np.zeros((len(masks), len(others)))
    for row, mask in enumerate(masks):
        for column, other in enumerate(others):
            ious[row, column] = np.count_nonzero(mask & other) / np.count_nonzero(mask | other)
    ious[ious < min_iou] = 0
    rows, columns = linear_sum_assignment(ious, maximize=True)
    linked = ious[rows, columns] > 0
    return np.column_stack([firsts[rows[linked]], seconds[columns[linked]]])


def links_between(first: np.ndarray, second: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Links of two slices, from the numbers that their objects have in the volume.

    Parameters
    ----------
    first, second : ndarray of int, shape (Y, X)
        Objects of the two slices; 0 is background.
    numbers : ndarray of int, shape (2, Y, X)
        The same slices of the volume; 0 where an object was dropped.

    Returns
    -------
    ndarray of int, shape (m, 2)
        As from `dense_links`.
    """
    each = []
    for labels, plane in zip((first, second), numbers, strict=True):
        inside = (labels > 0) & (plane > 0)
        each.append({number: label for label, number in np.unique([labels[inside], plane[inside]], axis=1).T.tolist()})
    pairs = [(each[0][number], each[1][number]) for number in each[0].keys() & each[1].keys()]
    return np.array(sorted(pairs), int).reshape(-1, 2)


def compare_linking(
    link_stack: LinkStack, stack: np.ndarray, *, min_iou: float, num_pairs: int = 4, rounds: int = 3
) -> list[Row]:
    """Time of linking a stack, and per pair of neighbouring slices against `dense_links`.

    Parameters
    ----------
    link_stack : callable
        The bundle's: from a stack of label images to a volume with ``labels``.
    stack : ndarray of int, shape (Z, Y, X)
        Objects of each slice; Z at least 2.
    min_iou : float
        Smallest IoU of a pair, for both.
    num_pairs : int
        Pairs of neighbouring slices that are linked densely, spread evenly over the stack.
    rounds : int
        Times that both are done, in turns.

    Returns
    -------
    list of Row
        Medians over the rounds, and of the ratio within a round.

    Raises
    ------
    RuntimeError
        If the two find other links on those pairs.
    """
    num_all = len(stack) - 1
    chosen = np.linspace(0, num_all - 1, min(num_pairs, num_all)).round().astype(int)
    linked = link_stack(stack, min_iou=min_iou).labels
    for z in chosen:
        expected = dense_links(*stack[z : z + 2], min_iou)
        if not np.array_equal(links_between(*stack[z : z + 2], linked[z : z + 2]), expected):
            raise RuntimeError(f"slices {z} and {z + 1}: link_stack and the dense way find other links; one is wrong")
    ways = {
        "ours": lambda stack: link_stack(stack, min_iou=min_iou),
        "dense": lambda stack: [dense_links(*stack[z : z + 2], min_iou) for z in chosen],
    }
    seconds = time_in_turns(ways, [stack], rounds=rounds, desc="linking")
    median, num_drawn = statistics.median(seconds["ours"]), stack[0].max()
    what = f"linking {len(stack)} slices x {num_drawn} objects of {stack.shape[1]} x {stack.shape[2]} px"
    per_pair = (np.divide(seconds["ours"], num_all), np.divide(seconds["dense"], len(chosen)))
    return [
        Row(what, as_time(median), "", "", f"< {TARGET_SECONDS} s", "yes" if median < TARGET_SECONDS else "no"),
        Row("linking: objects in the volume, of those drawn", f"{linked.max()} of {num_drawn}"),
        ratio_row("linking: time per pair of neighbouring slices", *per_pair, target=TARGET_RATIO),
    ]


def _draw_disc(labels: np.ndarray, label: int, centre: np.ndarray, radius: float) -> None:
    low = np.maximum(np.floor(centre - radius), 0).astype(int)
    high = np.ceil(centre + radius).astype(int) + 1
    window = labels[low[0] : high[0], low[1] : high[1]]
    rows, columns = np.ogrid[: window.shape[0], : window.shape[1]]
    window[np.hypot(rows + low[0] - centre[0], columns + low[1] - centre[1]) < radius] = label
