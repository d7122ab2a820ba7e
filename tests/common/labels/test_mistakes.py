"""Merged, split, missed and extra objects are told apart."""

import numpy as np
import pytest
from hypothesis import given, settings

from common.labels.mistakes import Mistakes, count_mistakes
from common.labels.seg import count_overlaps
from tests.common.labels.images import label_pairs


@pytest.mark.parametrize(
    ("reference", "result", "expected"),
    [
        ([1, 2, 0], [8, 9, 0], Mistakes()),
        ([1, 2, 3], [9, 9, 9], Mistakes(merged=1)),
        ([1, 1, 1], [8, 9, 0], Mistakes(split=1)),
        ([1, 1, 0], [0, 0, 9], Mistakes(missed=1, extra=1)),
        ([1, 1, 1, 0], [9, 0, 0, 0], Mistakes()),  # too small, but found
        ([1, 1, 0, 0], [9, 0, 9, 9], Mistakes(missed=1, extra=1)),  # they only touch
        ([1, 1, 0, 0], [9, 0, 9, 0], Mistakes(missed=1, extra=1)),  # half is not more than half
    ],
)
def test_by_hand(reference, result, expected):
    assert count_mistakes(count_overlaps(np.array(reference), np.array(result))) == expected


@settings(max_examples=60)
@given(label_pairs())
def test_swapping_the_images_swaps_the_mistakes(pair):
    one, other = count_mistakes(count_overlaps(*pair)), count_mistakes(count_overlaps(*pair[::-1]))
    assert one == Mistakes(merged=other.split, split=other.merged, missed=other.extra, extra=other.missed)


def test_frames_add_up():
    assert Mistakes(1, 2, 3, 4) + Mistakes(merged=1) == Mistakes(2, 2, 3, 4)
