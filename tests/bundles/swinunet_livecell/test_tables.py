"""A line per cell: place, size, direction and gray value."""

import numpy as np
import pytest
from skimage.draw import ellipse
from swinunet_livecell.tables import COLUMNS, UM_COLUMNS, count_neighbours, measure_cells


def measure(cells, image=None):
    image = np.ones(cells.shape) if image is None else image
    rows = measure_cells(cells, image, np.arange(1, cells.max() + 1) / 10)
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def test_ellipse():
    cells = np.zeros((80, 100), np.int32)
    cells[ellipse(40, 50, 10, 30, rotation=np.pi / 6)] = 1
    (row,) = measure(cells, np.where(cells, 7.5, 1))
    assert (row["y"], row["x"]) == pytest.approx((40, 50), abs=0.1)
    assert row["area"] == (cells == 1).sum() == pytest.approx(np.pi * 300, rel=0.02)
    assert (row["major_axis"], row["minor_axis"]) == pytest.approx((60, 20), rel=0.03)
    assert row["orientation"] == pytest.approx(30, abs=1)
    assert (row["cell"], row["mean"], row["touches_edge"], row["score"]) == (1, 7.5, 0, 0.1)


def test_cells_that_the_image_cuts_are_told():
    cells = np.zeros((10, 10), np.int32)
    cells[0, 4], cells[4, 4], cells[9, 9] = 1, 2, 3
    assert [row["touches_edge"] for row in measure(cells)] == [1, 0, 1]
    assert [row["orientation"] for row in measure(cells)] == pytest.approx([0, 0, 0], abs=180)


def test_no_cell_no_line():
    assert measure(np.zeros((3, 3), np.int32)) == []


def test_sizes_in_micrometres_follow_where_a_pixel_has_one():
    cells = np.zeros((80, 100), np.int32)
    cells[ellipse(40, 50, 10, 30)] = 1
    (row,) = measure_cells(cells, np.ones(cells.shape), np.ones(1), 0.5)
    told = dict(zip(COLUMNS + UM_COLUMNS, row, strict=True))
    assert told["area_um2"] == told["area"] / 4
    assert (told["major_axis_um"], told["minor_axis_um"]) == (told["major_axis"] / 2, told["minor_axis"] / 2)


def test_neighbours_are_cells_that_touch_or_nearly_do():
    cells = np.zeros((20, 60), np.int32)
    cells[5:15, 5:15], cells[5:15, 15:25], cells[5:15, 27:35], cells[5:15, 45:55] = 1, 2, 3, 4
    assert count_neighbours(cells).tolist() == [0, 1, 2, 1, 0]
    assert count_neighbours(np.zeros((4, 4), np.int32)).tolist() == [0]


@pytest.mark.parametrize(("gap", "is_near"), [(0, True), (4, True), (5, False)])
def test_four_pixels_between_cells_are_near(gap, is_near):
    cells = np.zeros((20, 40), np.int32)
    cells[5:15, 5:15], cells[5:15, 15 + gap : 25 + gap] = 1, 2
    assert count_neighbours(cells).tolist() == [0, is_near, is_near]
