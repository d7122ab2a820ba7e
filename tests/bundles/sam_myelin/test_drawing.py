"""Prompts as drawings: what a box covers, where a point is, and nothing for what is unknown."""

import torch
from sam_myelin.drawing import SPOT_HEIGHT, draw_prompts

CELLS = 16
NO_POINT = torch.zeros(1, 1, 2), torch.zeros(1, 1)
NO_BOX = torch.full((1, 4), torch.nan)


def test_a_cell_of_a_box_is_as_much_inside_as_it_is_covered():
    """Pixels 6 to 17 and 8 to 31: half a cell, two whole ones and a half; six whole ones."""
    drawing = draw_prompts(torch.tensor([[6.0, 8, 17, 31]]), *NO_POINT, CELLS)
    assert drawing.shape == (1, 1, CELLS, CELLS)
    inside = (drawing[0, 0] + 1) / 2
    torch.testing.assert_close(inside[2, :7], torch.tensor([0, 0.5, 1, 1, 0.5, 0, 0]))
    assert inside.sum() * 16 == 12 * 24


def test_points_are_spots_where_they_are_and_of_their_sign():
    points = torch.tensor([[[9.5, 29.5], [49.5, 13.5]]])
    drawing = draw_prompts(NO_BOX, points, torch.tensor([[1.0, -1]]), CELLS)[0, 0]
    assert drawing.argmax() == 7 * CELLS + 2 and drawing.argmin() == 3 * CELLS + 12
    torch.testing.assert_close(drawing.max(), torch.tensor(SPOT_HEIGHT), atol=0.1, rtol=0)


def test_what_is_unknown_leaves_nothing():
    assert not draw_prompts(NO_BOX, *NO_POINT, CELLS).any()
    assert not draw_prompts(NO_BOX, torch.full((1, 1, 2), 20.0), torch.zeros(1, 1), CELLS).any()
