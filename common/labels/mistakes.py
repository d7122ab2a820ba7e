"""Merged, split, missed and extra objects: why a SEG is low."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from .seg import Overlaps

__all__ = ["Mistakes", "count_mistakes"]


@dataclass(frozen=True)
class Mistakes:
    """Mistakes of one or more frames; frames add up with ``+``.

    An object *covers* another if more than half of the other lies in it. Swapping reference and result swaps merged
    with split and missed with extra.

    Attributes
    ----------
    merged : int
        Result objects that cover two or more reference objects.
    split : int
        Reference objects that cover two or more result objects.
    missed : int
        Reference objects that neither cover a result object nor are covered by one.
    extra : int
        Result objects that neither cover a reference object nor are covered by one.
    """

    merged: int = 0
    split: int = 0
    missed: int = 0
    extra: int = 0

    def __add__(self, other: Mistakes) -> Mistakes:
        return Mistakes(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


def count_mistakes(overlaps: Overlaps) -> Mistakes:
    """Count the mistakes of one frame.

    A reference object that holds a single, far too small result object is none of the four, though its IoU in SEG is
    0: the list of objects shows it.

    Parameters
    ----------
    overlaps : Overlaps
        Overlap table of a frame.
    """
    by_result = overlaps.covered
    by_reference = 2 * overlaps.pixels > overlaps.result_sizes[overlaps.results]
    found = by_result | by_reference
    return Mistakes(
        merged=_num_repeated(overlaps.results[by_result]),
        split=_num_repeated(overlaps.references[by_reference]),
        missed=len(overlaps.reference_labels) - len(np.unique(overlaps.references[found])),
        extra=len(overlaps.result_labels) - len(np.unique(overlaps.results[found])),
    )


def _num_repeated(values: np.ndarray) -> int:
    """Number of values that occur more than once."""
    return int(np.count_nonzero(np.bincount(values) > 1))
