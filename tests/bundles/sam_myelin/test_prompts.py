"""Prompts are where the fibres are, and inside the image."""

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sam_myelin.common.errors import InputError
from sam_myelin.prompts import (
    Prompts,
    boxes_of,
    check_inside,
    inner_points,
    jitter_boxes,
    prompts_from_axons,
    prompts_from_labels,
    random_points,
)


def boxes_one_by_one(labels: np.ndarray) -> dict[int, tuple[int, ...]]:
    """As Segment Anything's users write it: look for the pixels of each object in the whole image."""
    boxes = {}
    for label in np.unique(labels[labels > 0]):
        y, x = np.nonzero(labels == label)
        boxes[int(label)] = (x.min(), y.min(), x.max(), y.max())
    return boxes


@given(npst.arrays(np.int64, (7, 9), elements=st.sampled_from([0, 1, 2, 5, 70_000, 5_000_000])))
def test_boxes_are_those_of_one_object_after_the_other(labels):
    ids, boxes = boxes_of(labels)
    assert dict(zip(ids.tolist(), map(tuple, boxes.tolist()), strict=True)) == boxes_one_by_one(labels)
    assert ids.tolist() == sorted(ids.tolist()) and boxes.shape == (len(ids), 4)


@given(st.integers(0, 2**32), st.integers(0, 20))
def test_jitter_only_enlarges_and_stays_inside(seed, max_px):
    boxes = np.array([[0, 0, 3, 4], [10, 5, 30, 20], [39, 29, 39, 29]])
    moved = jitter_boxes(boxes, (30, 40), max_px=max_px, rng=np.random.default_rng(seed))
    grown = (moved - boxes) * [-1, -1, 1, 1]
    assert (grown >= 0).all() and (grown <= max_px).all() and moved.dtype == boxes.dtype
    assert (moved >= 0).all() and (moved <= [39, 29, 39, 29]).all()


def test_jitter_reaches_both_ends():
    boxes = np.full((2000, 4), 50.0)
    moved = jitter_boxes(boxes, (100, 100), max_px=2, rng=np.random.default_rng(0))
    assert {tuple(np.unique(side)) for side in moved.T} == {(48, 49, 50), (50, 51, 52)}


@given(npst.arrays(np.uint16, (6, 8), elements=st.integers(0, 4)), st.integers(0, 2**32))
def test_random_points_are_in_their_axon(axons, seed):
    ids = np.array([4, 1, 9])
    points, inside = random_points(axons, ids, num_points=3, rng=np.random.default_rng(seed))
    assert points.shape == (3, 3, 2) and inside.shape == (3, 3)
    for label, some, known in zip(ids, points.astype(int), inside, strict=True):
        assert (known == (1 if (axons == label).any() else -1)).all()
        assert (axons[some[known == 1, 1], some[known == 1, 0]] == label).all()


def test_random_points_reach_every_pixel(fibres):
    labels, axon = fibres
    axons = np.where(axon, labels, 0)
    points, _ = random_points(axons, np.array([7]), num_points=20_000, rng=np.random.default_rng(0))
    assert len(np.unique(points[0], axis=0)) == np.count_nonzero(axons == 7)


def test_point_of_a_curved_axon_is_inside(fibres):
    labels, axon = fibres
    ids, points = inner_points(np.where(axon, labels, 0))
    assert ids.tolist() == [3, 7] and points[0].tolist() == [14, 14]
    x, y = points[1].astype(int)
    assert axon[y - 1 : y + 2, x - 1 : x + 2].all() and labels[y, x] == 7


def test_prompts_of_a_label_map(fibres):
    prompts = prompts_from_labels(*fibres)
    assert prompts.ids.tolist() == [3, 7, 9]
    assert prompts.boxes.tolist() == [[3, 3, 25, 25], [30, 20, 59, 45], [50, 2, 59, 5]]
    assert np.isnan(prompts.points[2]).all() and np.isfinite(prompts.points[:2]).all()


def test_prompts_of_an_axon_mask(fibres):
    _, axon = fibres
    axon[0, 63] = True
    prompts = prompts_from_axons(axon.astype(np.uint8) * 255, g_ratio=0.5)
    assert prompts.ids.tolist() == [1, 2, 3]
    by_x = np.argsort(prompts.points[:, 0])
    assert prompts.points[by_x[0]].tolist() == [14, 14]
    assert prompts.boxes[by_x[0]].tolist() == [0, 0, 28.5, 28.5]  # 15 pixels wide, twice that, cut at the border
    large = prompts_from_axons(axon, g_ratio=None, min_area_px=2)
    assert len(large.ids) == 2 and np.isnan(large.boxes).all()


def test_axons_that_are_numbered_keep_their_numbers(fibres):
    labels, axon = fibres
    assert prompts_from_axons(np.where(axon, labels, 0)).ids.tolist() == [3, 7]


def test_nothing_gives_no_prompts():
    empty = np.zeros((5, 6), np.uint16)
    for prompts in (prompts_from_axons(empty), prompts_from_labels(empty, empty > 0)):
        assert [part.shape for part in prompts] == [(0,), (0, 2), (0, 4)]
        check_inside(prompts, (5, 6), "a.tsv")
    points, inside = random_points(empty, np.array([], int), rng=np.random.default_rng(0))
    assert points.shape == (0, 1, 2) and inside.shape == (0, 1)


@pytest.mark.parametrize("g_ratio", [0, 1.2])
def test_impossible_g_ratio(g_ratio):
    with pytest.raises(InputError, match=f"--g_ratio {g_ratio}: an axon is not wider"):
        prompts_from_axons(np.ones((3, 3), bool), g_ratio=g_ratio)


@pytest.mark.parametrize(("point", "box"), [([60, 5], [1, 1, 9, 9]), ([5, 5], [1, 1, 9, 70]), ([-1, 3], [np.nan] * 4)])
def test_prompt_outside_the_image(point, box):
    prompts = Prompts(np.array([4, 8]), np.array([[1, 1], point], float), np.array([[0, 0, 39, 29], box], float))
    with pytest.raises(InputError, match="a.tsv: 1 of 2 prompts outside the image, the first has id 8 .* 0 to 39 in x"):
        check_inside(prompts, (30, 40), "a.tsv")


@pytest.mark.parametrize("place", [[0, 0], [39, 29], [-0.5, -0.5], [39.5, 29.5]])
def test_prompts_reach_to_the_very_border(place):
    border = Prompts(np.array([1]), np.array([place], float), np.array([[0, 0, 39, 29]], float))
    check_inside(border, (30, 40), "a.tsv")


@pytest.mark.parametrize("place", [[-0.6, 3], [3, -0.6], [39.6, 3], [3, 29.6]])
def test_half_a_pixel_is_all_that_a_prompt_may_lie_beyond_the_border(place):
    beyond = Prompts(np.array([1]), np.array([place], float), np.full((1, 4), np.nan))
    with pytest.raises(InputError, match="1 of 1 prompts outside the image"):
        check_inside(beyond, (30, 40), "a.tsv")


def test_boxes_of_axons_in_the_corners_are_cut_at_the_border():
    axon = np.zeros((30, 40), bool)
    axon[:4, :4] = axon[:4, -4:] = axon[-4:, :4] = axon[-4:, -4:] = True
    prompts = prompts_from_axons(axon, g_ratio=0.5)
    assert prompts.boxes.tolist() == [[0, 0, 5, 5], [34, 0, 39, 5], [0, 24, 5, 29], [34, 24, 39, 29]]
    check_inside(prompts, axon.shape, "a.tsv")
