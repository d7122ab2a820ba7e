"""Results that are corrected on the page: objects are removed, drawn, merged and split, and kept to fine-tune on."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.draw import line
from skimage.measure import label
from skimage.segmentation import relabel_sequential, watershed

from common.files import replacing
from tools.corrections import add_correction
from tools.segment.description import Description
from tools.segment.results import Result
from tools.segment.saving import read_objects
from tools.serve.failures import Failure

__all__ = ["Correction", "drawn", "erased", "merged", "split"]

CORRECTED = "corrected.npy"
MAX_POINTS = 10_000
MAX_LABEL = 10**9  # that leaves room for further ones
MIN_PART = 3  # pixels; less, beside a cut, is a crumb
ACTIONS = ("draw", "merge", "split")
UNDERSTOOD = (
    'expected {"z": 0, "points": [[x, y], ...], "action": "draw"}, x and y from 0 to 1, or action merge or split'
)


def erased(labels: np.ndarray, place: tuple[int, int, int]) -> np.ndarray:
    """Labels (Z, Y, X) without the object at a voxel, in all slices."""
    number = labels[place]
    return np.where(labels == number, 0, labels) if number else labels


def drawn(labels: np.ndarray, z: int, outline: np.ndarray) -> np.ndarray:
    """Labels (Z, Y, X) with a further object in a slice.

    An object of a slice above or below that has at least half of its pixels goes on in it; else it is a new one.

    Parameters
    ----------
    labels : ndarray of int
    z : int
    outline : ndarray of float, shape (k, 2)
        Y and X in pixels of the slice.
    """
    inside = enclosed(labels.shape[1:], outline)
    number = int(labels.max(initial=0)) + 1
    for other in (z - 1, z + 1):
        if 0 <= other < len(labels) and inside.any():
            counts = np.bincount(labels[other][inside])
            counts[0] = 0  # of background
            if 2 * counts.max() >= np.count_nonzero(inside):
                number = int(counts.argmax())
                break
    changed = labels.copy()
    changed[z][inside] = number
    return changed


def merged(labels: np.ndarray, z: int, stroke: np.ndarray) -> np.ndarray:
    """Labels (Z, Y, X) in which the objects under a stroke (k, 2) in a slice, Y and X in pixels, are the first one."""
    under = labels[z][_pixels(labels.shape[1:], stroke)]
    numbers = under[under > 0]
    return np.where(np.isin(labels, numbers), numbers[0], labels) if numbers.size else labels


def split(labels: np.ndarray, z: int, stroke: np.ndarray) -> np.ndarray:
    """Labels (Z, Y, X) in which the objects that a stroke (k, 2) cuts apart in a slice are several ones.

    In the other slices each voxel goes to the part of this slice that is nearest within the object. The largest part
    keeps the number, the others get new ones. Objects that do not fall apart in the slice stay as they are.
    """
    rows, columns = _pixels(labels.shape[1:], stroke)
    cut = np.zeros(labels.shape[1:], bool)
    cut[rows, columns] = True
    parts_of = {number: _parts(labels[z] == number, cut) for number in np.setdiff1d(labels[z][cut], 0).tolist()}
    numbers = np.array(sorted(number for number, parts in parts_of.items() if parts.max() > 1))
    if not numbers.size:
        return labels
    changed, last = labels.copy(), int(labels.max())
    inside = np.isin(labels, numbers)
    order = np.zeros(labels.shape, np.int32)
    order[inside] = np.searchsorted(numbers, labels[inside]) + 1
    for number, box in zip(numbers.tolist(), ndimage.find_objects(order), strict=True):
        parts = parts_of[number][box[1:]]
        markers = np.zeros(changed[box].shape, labels.dtype)
        markers[z - box[0].start] = np.where(parts > 1, last + parts - 1, np.where(parts > 0, number, 0))
        last += parts.max() - 1
        whole = labels[box] == number
        flooded = watershed(np.zeros(whole.shape, np.uint8), markers, mask=whole)
        changed[box] = np.where(flooded > 0, flooded, changed[box])
    return changed


def _parts(whole: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """Parts (Y, X) of an object's slice, the largest is 1; but 1 alone where a cut takes nothing of it apart.

    What was apart before the cut stays with the largest part, and so does a crumb.
    """
    pieces, parts = label(whole, connectivity=1), label(whole & ~cut, connectivity=1)
    numbered, seen, last = np.zeros(whole.shape, int), set(), 1
    for place in sorted(ndimage.value_indices(parts, ignore_value=0).values(), key=lambda place: -place[0].size):
        piece = int(pieces[place][0])
        if piece not in seen:
            numbered[place] = 1
        elif place[0].size >= MIN_PART:
            last += 1
            numbered[place] = last
        seen.add(piece)
    return numbered


def _pixels(shape: tuple[int, ...], stroke: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels that a stroke goes over, from its first to its last."""
    corners = np.clip(np.rint(stroke), 0, np.array(shape) - 1).astype(int)
    rows, columns = np.concatenate([line(*start, *end) for start, end in pairwise(corners)], axis=1)
    return rows, columns


def enclosed(shape: tuple[int, ...], outline: np.ndarray) -> np.ndarray:
    """Pixels (Y, X) whose centres an outline (k, 2) goes around, an odd number of times where it crosses itself.

    The time it takes grows with points and rows; scikit-image's `polygon2mask` asks all points at each pixel, and a
    drawing of some thousand points would hold the server for minutes.
    """
    sides = np.zeros((shape[0], shape[1] + 1), bool)  # where a row goes in or out
    for (y, x), (next_y, next_x) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        first, end = np.clip(np.ceil(sorted((y, next_y))), 0, shape[0]).astype(int)
        if first < end:
            rows = np.arange(first, end)
            columns = np.ceil(x + (rows - y) * (next_x - x) / (next_y - y))
            sides[rows, np.clip(columns, 0, shape[1]).astype(int)] ^= True
    return np.logical_xor.accumulate(sides, axis=1)[:, :-1]


class Correction:
    """A result, and what was changed in it, which is kept in a folder of its own while it is shown."""

    def __init__(self, result: Result, folder: Path) -> None:
        self.result, self.path = result, folder / CORRECTED

    def plane(self, z: int) -> np.ndarray | None:
        """A slice (Y, X) of the changed labels; None where nothing was changed."""
        return np.load(self.path, mmap_mode="r", allow_pickle=False)[z] if self.path.is_file() else None

    def change(self, body: bytes) -> None:
        """Remove the object at one point, or draw one along several, or merge or split those that these go over.

        Without points, everything is undone. Failure 422 if the request is none of these, or changes nothing.
        """
        z, points, action = _parse(body)
        if not len(points):
            self.path.unlink(missing_ok=True)
            return
        labels = self._labels()
        if z >= len(labels):
            raise Failure(422, f"z: {z}, but there are {len(labels)} slices")
        outline = points[:, ::-1] * labels.shape[1:]
        if action != "draw":
            changed = {"merge": merged, "split": split}[action](labels, z, outline - 0.5)
            if np.array_equal(changed, labels):
                needed = {"merge": "go over two objects", "split": "cross an object from one side to the other"}
                raise Failure(422, f"nothing to {action}: the line has to {needed[action]}")
            labels = changed
        elif len(points) == 1:
            y, x = np.minimum(outline[0].astype(int), np.array(labels.shape[1:]) - 1)
            labels = erased(labels, (z, int(y), int(x)))
        else:
            labels = drawn(labels, z, outline - 0.5)  # where pixels are at whole numbers
        with replacing(self.path) as partial, partial.open("wb") as file:
            np.save(file, labels)

    def keep(self, dataset_dir: Path, bundle: Description, name: str) -> str:
        """Add the image and its labels, changed or found right, to a dataset; its name there."""
        labels = self._labels()
        labels = labels if bundle.num_axes == 3 else labels[0]
        return add_correction(dataset_dir, bundle, self.result.image, labels, name).name

    def _labels(self) -> np.ndarray:
        if self.path.is_file():
            return np.load(self.path, allow_pickle=False)
        labels = read_objects(self.result.labels)[0].astype(np.int32)  # with room for further objects
        if labels.max(initial=0) > MAX_LABEL:
            labels = relabel_sequential(labels)[0]
        return labels if labels.ndim == 3 else labels[None]


def _parse(body: bytes) -> tuple[int, np.ndarray, str]:
    try:
        content = json.loads(body)
        z, points = content["z"], np.array(content["points"], float).reshape(-1, 2)
        action = content.get("action", "draw")
        is_understood = type(z) is int and z >= 0 and len(points) <= MAX_POINTS and action in ACTIONS
        is_understood &= len(points) != 2 if action == "draw" else len(points) > 1
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise Failure(422, UNDERSTOOD) from error
    if not is_understood or not all(math.isfinite(value) and 0 <= value <= 1 for value in points.flat):
        raise Failure(422, UNDERSTOOD)
    return z, points, action
