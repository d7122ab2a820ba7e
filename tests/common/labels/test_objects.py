"""An object counts as found where it and one of the truth cover more than half of their union."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from common.labels.objects import match_objects

label_images = npst.arrays(np.uint16, (5, 6), elements=st.sampled_from([0, 1, 2, 7]))


def count_by_sets(predicted, truth, min_iou):
    """Every object as a set of pixels, every pair compared."""
    ours, theirs = (
        [set(map(tuple, np.argwhere(image == label))) for label in set(image.ravel().tolist()) - {0}]
        for image in (predicted, truth)
    )
    pairs = [(a, b) for a in ours for b in theirs if len(a & b) > min_iou * len(a | b)]
    return len(pairs), len(ours), len(theirs)


def test_counts_of_a_drawn_case():
    truth = np.array([[1, 1, 1, 0, 2, 2, 0, 3]])
    predicted = np.array([[5, 5, 0, 0, 6, 0, 8, 0]])
    assert match_objects(predicted, truth) == (1, 3, 3)  # IoU 2/3, exactly 1/2, none


@settings(max_examples=80)
@given(label_images, label_images, st.sampled_from([0.5, 0.75]))
def test_agrees_with_sets_of_pixels(predicted, truth, min_iou):
    assert match_objects(predicted, truth, min_iou) == count_by_sets(predicted, truth, min_iou)


@pytest.mark.parametrize("min_iou", [0.49, 1.0])
def test_threshold_below_which_pairs_are_not_unique_is_refused(min_iou):
    with pytest.raises(ValueError, match=f"min_iou {min_iou}: expected a number from 0.5 to below 1"):
        match_objects(np.zeros((2, 2), int), np.zeros((2, 2), int), min_iou)


def test_images_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        match_objects(np.zeros((2, 2), int), np.zeros((2, 3), int))
