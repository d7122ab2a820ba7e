"""What one frame adds to the scores, from its files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.labels.det import Detections, count_detections
from common.labels.mistakes import Mistakes, count_mistakes
from common.labels.seg import Matches, Overlaps, count_overlaps, match
from common.labels.sweep import F1Sweep, count_matches
from common.reading.tiff import read_volume
from tools.score.folders import FrameFiles

__all__ = ["FrameScore", "read_labels", "score_frame"]


@dataclass(frozen=True)
class FrameScore:
    """Scores of one frame.

    Attributes
    ----------
    number : int
        Frame number.
    matches : mapping of int or None to Matches
        Reference objects by annotated slice; None stands for the whole frame. Empty without segmentation truth.
    detections : Detections
        Against the markers; all 0 without markers.
    mistakes : Mistakes
        Of the annotated objects; ``extra`` is 0 unless ``complete``.
    f1 : F1Sweep
        All 0 unless ``complete``.
    complete : bool
        Whether every object of the frame is annotated, so that what has no partner is known to be wrong: the truth
        covers the whole frame and has no fewer objects than there are markers.
    """

    number: int
    matches: Mapping[int | None, Matches]
    detections: Detections
    mistakes: Mistakes
    f1: F1Sweep
    complete: bool


def score_frame(files: FrameFiles) -> FrameScore:
    """Compare a result with all truth of its frame; the result and one truth are in memory at a time.

    In single slices every object of every slice counts for itself, as in the challenge's own program. InputError if a
    file is refused by `read_labels`, or the truth is not on the result's grid.
    """
    result = read_labels(files.result)
    tables: dict[int | None, Overlaps] = {}
    if files.segmentation:
        tables[None] = _compare(files.segmentation, files.result, result)
    for z, path in sorted(files.slices.items()):
        if z >= len(result):
            raise InputError(f"{path}: slice {z}, but {files.result} has {len(result)} slices, counted from 0")
        tables[z] = _compare(path, files.result, result[z : z + 1])
    markers = _compare(files.markers, files.result, result) if files.markers else None
    detections = count_detections(markers) if markers else Detections()
    complete = None in tables and len(tables[None].reference_labels) >= detections.num_markers
    mistakes = sum(map(count_mistakes, tables.values()), Mistakes())
    return FrameScore(
        number=files.number,
        matches={z: match(overlaps) for z, overlaps in tables.items()},
        detections=detections,
        mistakes=mistakes if complete else Mistakes(mistakes.merged, mistakes.split, mistakes.missed, extra=0),
        f1=count_matches(tables[None]) if complete else F1Sweep(),
        complete=complete,
    )


def read_labels(path: Path) -> np.ndarray:
    """Read a label image.

    Parameters
    ----------
    path : Path
        Gray TIFF of integers.

    Returns
    -------
    ndarray of int, shape (Z, Y, X)
        As stored.

    Raises
    ------
    InputError
        If it is not a gray TIFF of one 2D or 3D image, or its values are not integers of at least 0.
    """
    labels = read_volume(path, labels=True)
    if labels.dtype.kind not in "iu":
        raise InputError(f"{path}: labels are {labels.dtype}, expected integers; export one whole number per object")
    if labels.dtype.kind == "i" and labels.min(initial=0) < 0:
        raise InputError(
            f"{path}: label {labels.min()}, expected 0 for background and positive numbers; renumber the objects"
        )
    return labels


def _compare(truth: Path, path: Path, result: np.ndarray) -> Overlaps:
    """Overlap table of a truth and the result (or the slice of it) that was read from ``path``."""
    reference = read_labels(truth)
    if reference.shape != result.shape:
        raise InputError(
            f"{path}: shape {result.shape}, expected {reference.shape} as in {truth}; export both on one pixel grid"
        )
    return count_overlaps(reference, result)
