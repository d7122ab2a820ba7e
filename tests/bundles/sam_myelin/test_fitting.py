"""A prompt gets the fibre that was found there, if it means that one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sam_myelin.fibres import Fibre
from sam_myelin.fitting import box_ious, fitting_fibres
from sam_myelin.prompts import Prompts

NAN = float("nan")
corner = st.integers(0, 12)


def fibre(top: int, left: int, size: int) -> Fibre:
    """A square fibre with a square axon in its middle."""
    axon = np.zeros((size, size), bool)
    axon[2:-2, 2:-2] = True
    return Fibre((top, left), axon, ~axon, 0.9)


FOUND = [fibre(0, 0, 10), fibre(20, 30, 8)]


def prompts(*rows: tuple[float, ...]) -> Prompts:
    values = np.array(rows, np.float32).reshape(-1, 6)
    return Prompts(np.arange(1, len(values) + 1), values[:, :2], values[:, 2:])


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((NAN, NAN, 30, 20, 37, 27), 1),
        ((NAN, NAN, 29, 19, 38, 28), None),  # 64 of 100 pixels
        ((NAN, NAN, 30, 20, 38, 28), 1),  # 64 of 81
        ((5, 5, 30, 20, 37, 27), 1),  # the box counts
        ((33, 24, NAN, NAN, NAN, NAN), 1),
        ((30, 20, NAN, NAN, NAN, NAN), None),  # in the sheath
        ((50, 50, NAN, NAN, NAN, NAN), None),
        ((NAN, NAN, 0, 0, 37, 27), None),
    ],
)
def test_box_and_point_mean_the_fibre_they_fit(row, expected):
    assert fitting_fibres(prompts(row), FOUND, min_iou=0.7) == [None if expected is None else FOUND[expected]]


def test_every_prompt_is_answered_in_order():
    found = fitting_fibres(
        prompts((NAN, NAN, 0, 0, 9, 9), (99, 99, *[NAN] * 4), (4, 4, *[NAN] * 4)), FOUND, min_iou=0.5
    )
    assert found == [FOUND[0], None, FOUND[0]]
    assert fitting_fibres(prompts((4, 4, *[NAN] * 4)), [], min_iou=0.5) == [None]
    assert fitting_fibres(prompts(), FOUND, min_iou=0.5) == []


@given(st.lists(st.tuples(corner, corner, corner, corner), min_size=2, max_size=4))
def test_ious_of_boxes_are_those_of_their_pixels(rows):
    boxes = np.array([(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in rows])
    masks = np.zeros((len(boxes), 13, 13), bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[top : bottom + 1, left : right + 1] = True
    expected = [(masks[0] & mask).sum() / (masks[0] | mask).sum() for mask in masks[1:]]
    np.testing.assert_allclose(box_ious(boxes[0], boxes[1:]), expected)


@pytest.mark.parametrize(("min_iou", "expected"), [(0.64, FOUND[1]), (0.65, None)])
def test_box_of_the_very_iou_fits(min_iou, expected):
    assert fitting_fibres(prompts((NAN, NAN, 29, 19, 38, 28)), FOUND, min_iou=min_iou) == [expected]
