"""Prompts are in a view where what they point at is."""

import pytest
import torch
from sam_myelin.views import NUM_VIEWS, boxes_in_view, points_in_view, undo_view, view_of

VIEWS = range(NUM_VIEWS)
IMAGE = torch.arange(2 * 7 * 7).reshape(2, 7, 7)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_can_be_undone(view):
    assert torch.equal(undo_view(view_of(IMAGE, view), view), IMAGE)


def test_views_are_all_different():
    assert torch.equal(view_of(IMAGE, 0), IMAGE)
    assert len({tuple(view_of(IMAGE, view).flatten().tolist()) for view in VIEWS}) == NUM_VIEWS


@pytest.mark.parametrize("view", VIEWS)
def test_points_move_with_the_pixels(view):
    points = torch.tensor([[1, 5], [6, 0], [3, 3]])
    there = points_in_view(points, view, 7)
    assert torch.equal(view_of(IMAGE, view)[:, there[:, 1], there[:, 0]], IMAGE[:, points[:, 1], points[:, 0]])


@pytest.mark.parametrize("view", VIEWS)
def test_boxes_move_with_the_pixels(view):
    mask = torch.zeros(7, 7)
    mask[4:6, 1:4] = 1
    left, top, right, bottom = boxes_in_view(torch.tensor([1, 4, 3, 5]), view, 7).tolist()
    seen = view_of(mask, view)
    assert seen[top : bottom + 1, left : right + 1].all() and seen.sum() == (bottom - top + 1) * (right - left + 1)
    assert boxes_in_view(torch.full((1, 4), torch.nan), view, 7).isnan().all()
