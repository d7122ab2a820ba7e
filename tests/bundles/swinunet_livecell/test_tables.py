"""A line per cell: place, size, direction and gray value."""

import numpy as np
import pytest
from skimage.draw import ellipse
from swinunet_livecell.tables import COLUMNS, measure_cells


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
