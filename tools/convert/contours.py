"""Outlines and run lengths as COCO writes them to one label map: pycocotools' own pixels, without its full-size masks.

An object is kept as COCO's compressed run lengths: about a hundred bytes instead of a mask as large as the image. A
label map is then painted run by run, so the time goes with the cells and not with cells times image size.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

__all__ = [
    "areas",
    "check_counts",
    "compress_counts",
    "decode_runs",
    "draw_labels",
    "encode_polygons",
    "find_duplicates",
    "find_hidden",
]

MAX_CHARACTERS = 7  # of one number; 35 bits, while COCO's numbers have 32


def encode_polygons(objects: Sequence[Sequence[np.ndarray]], shape: tuple[int, int]) -> list[bytes]:
    """Run lengths of objects that are given by polygons, as pycocotools draws them.

    Parameters
    ----------
    objects : sequence of sequence of ndarray of float
        Polygons of each object, x0, y0, x1, y1, ..., at least three points each; an object is their union.
    shape : tuple of int
        Height and width of the image in pixels; what lies outside is cut off.

    Returns
    -------
    list of bytes
        COCO's compressed run lengths of each object.
    """
    polygons = [np.asarray(polygon, float) for parts in objects for polygon in parts]
    if not polygons:
        return []
    encoded: Any = coco_mask.frPyObjects(polygons, *shape)  # type: ignore[arg-type]  # arrays of floats are taken too
    found: list[bytes] = []
    first = 0
    for parts in objects:
        pieces = encoded[first : first + len(parts)]
        whole: Any = pieces[0] if len(pieces) == 1 else coco_mask.merge(pieces)
        found.append(whole["counts"])
        first += len(parts)
    return found


def compress_counts(counts: Sequence[int], shape: tuple[int, int]) -> bytes:
    """COCO's uncompressed run lengths, which start with background, as its compressed ones."""
    uncompressed: Any = {"counts": list(counts), "size": list(shape)}
    encoded: Any = coco_mask.frPyObjects(uncompressed, *shape)
    return encoded["counts"]


def check_counts(counts: bytes, shape: tuple[int, int]) -> str:
    """What is wrong with another program's compressed run lengths of an image (height, width); or nothing."""
    codes = np.frombuffer(counts, np.uint8).astype(int) - 48
    if not codes.size or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        return "no compressed run lengths"
    if np.diff(np.flatnonzero(np.append(32, codes) & 32 == 0), prepend=0).max() > MAX_CHARACTERS:
        return "a run length beyond 32 bits"
    lengths, _ = _decode_counts([counts])
    if lengths.min() < 0 or lengths.sum() != shape[0] * shape[1]:
        return f"run lengths of {lengths.sum()} pixels, expected {shape[0] * shape[1]} ({shape[0]} x {shape[1]})"
    return ""


def decode_runs(objects: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Runs of pixels of all objects, without drawing one.

    Parameters
    ----------
    objects : sequence of bytes
        COCO's compressed run lengths.

    Returns
    -------
    starts, stops : ndarray of int64, shape (N,)
        First pixel of each run and the one behind its last, counted down the columns of the image.
    owners : ndarray of int64, shape (N,)
        Index of the object that each run belongs to, never falling.
    """
    lengths, sizes = _decode_counts(objects)
    first = np.cumsum(sizes) - sizes
    stops = np.cumsum(lengths)
    stops -= np.repeat((stops - lengths)[first], sizes)
    owners = np.repeat(np.arange(len(sizes)), sizes)
    foreground = ((np.arange(len(lengths)) - np.repeat(first, sizes)) % 2 == 1) & (lengths > 0)
    return (stops - lengths)[foreground], stops[foreground], owners[foreground]


def areas(objects: Sequence[bytes]) -> np.ndarray:
    """Pixels of each object; int64, shape (number of objects,)."""
    starts, stops, owners = decode_runs(objects)
    return np.bincount(owners, stops - starts, minlength=len(objects)).astype(np.int64)


def draw_labels(
    objects: Sequence[bytes], shape: tuple[int, int], *, beneath: Sequence[bool] | None = None
) -> np.ndarray:
    """Label map of objects that may overlap.

    A pixel of several objects goes to the smallest one, so that a cell on top of a larger one stays; among objects of
    one area to the last. Objects are numbered from 1 in their order; the numbers of those of which nothing is left
    are missing.

    Parameters
    ----------
    objects : sequence of bytes
        COCO's compressed run lengths.
    shape : tuple of int
        Height and width of the image in pixels.
    beneath : sequence of bool, optional
        Objects that give way to all others, whatever their area.

    Returns
    -------
    ndarray of uint16, shape (Y, X)
        0 is background.

    Raises
    ------
    ValueError
        If there are more than 65535 objects.
    """
    if len(objects) > np.iinfo(np.uint16).max:
        raise ValueError(f"{len(objects)} objects, 16 bits hold 65535")
    labels = np.zeros(shape[0] * shape[1], np.uint16)
    starts, stops, owners = decode_runs(objects)
    sizes = stops - starts
    area = np.bincount(owners, sizes, minlength=len(objects))
    order = np.lexsort((-area, ~np.asarray([False] * len(objects) if beneath is None else beneath, bool)))
    turn = np.empty(len(objects), int)
    turn[order] = np.arange(len(objects))
    runs = np.argsort(turn[owners], kind="stable")
    starts, sizes, owners = starts[runs], sizes[runs], owners[runs]
    steps = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    labels[np.repeat(starts, sizes) + steps] = np.repeat(owners + 1, sizes)  # of equal indices the last one counts
    return np.ascontiguousarray(labels.reshape(shape[1], shape[0]).T)


def find_duplicates(objects: Sequence[bytes]) -> list[int]:
    """Indices of objects that cover exactly the pixels of an earlier one."""
    seen: set[bytes] = set()
    duplicates = []
    for index, counts in enumerate(objects):
        if counts in seen:
            duplicates.append(index)
        seen.add(counts)
    return duplicates


def find_hidden(labels: np.ndarray, num_objects: int) -> list[int]:
    """Indices of objects of which a label map shows no pixel."""
    return np.flatnonzero(np.bincount(labels.ravel(), minlength=num_objects + 1)[1:] == 0).tolist()


def _decode_counts(objects: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of all runs, background first, of one object after the other; and how many each object has.

    A number is written as characters of 5 bits, the lowest first, bit 6 for "more follows"; from the fourth number of
    an object on it is the difference to the last but one.
    """
    codes = np.frombuffer(b"".join(objects), np.uint8).astype(np.int64) - 48
    if not codes.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    last = codes & 32 == 0
    ends = np.flatnonzero(last)
    begins = np.append(0, ends[:-1] + 1)
    characters = ends - begins + 1
    place = np.arange(codes.size) - np.repeat(begins, characters)
    values = np.add.reduceat((codes & 31) << (5 * place), begins)
    values -= np.where(codes[ends] & 16, 1 << (5 * characters), 0)
    bytes_each = np.array([len(counts) for counts in objects])
    sizes = np.add.reduceat(last.astype(np.int64), np.cumsum(bytes_each) - bytes_each)

    # Two columns, odd and even numbers of an object: the differences then are along the rows.
    rows = (sizes + 1) // 2
    first_row, first = np.cumsum(rows) - rows, np.cumsum(sizes) - sizes
    place = np.repeat(2 * first_row, sizes) + np.arange(values.size) - np.repeat(first, sizes)
    columns = np.zeros(2 * rows.sum(), np.int64)
    columns[place] = values
    columns[2 * first_row] = 0  # the first number stands alone
    sums = np.cumsum(columns.reshape(-1, 2), axis=0)
    sums -= np.repeat(sums[first_row] - columns.reshape(-1, 2)[first_row], rows, axis=0)
    lengths = sums.reshape(-1)[place]
    lengths[first] = values[first]
    return lengths, sizes
