"""Outlines enclose the pixels that ImageJ would fill."""

import numpy as np
import pytest
from matplotlib.path import Path

from tools.convert.outline import fill

SHAPE = (30, 40)


@pytest.mark.parametrize("seed", range(20))
def test_centres_inside_are_filled(seed):
    """Points at random lie on no centre, and so every rule says the same; rings may cross themselves."""
    random = np.random.default_rng(seed)
    centres = np.stack(np.meshgrid(np.arange(SHAPE[1]), np.arange(SHAPE[0])), axis=-1).reshape(-1, 2) + 0.5
    ring = np.array([20, 15]) + random.uniform(-18, 18, (3, 2)) * (1, 0.8)
    inside = Path(ring).contains_points(centres).reshape(SHAPE)
    np.testing.assert_array_equal(fill([ring], SHAPE), inside)
    hole = ring.mean(axis=0) + 0.4 * (ring - ring.mean(axis=0))
    without = inside & ~Path(hole).contains_points(centres).reshape(SHAPE)
    np.testing.assert_array_equal(fill([ring, hole], SHAPE), without)


@pytest.mark.parametrize(
    ("points", "area"),
    [
        ([(10, 0), (10, 10), (0, 10)], 45),  # of centres on an edge, ImageJ takes those on the right and at the top
        ([(10, 0), (20, 10), (10, 20), (0, 10)], 200),
        ([(5.5, 5.5), (15.5, 5.5), (15.5, 15.5), (5.5, 15.5)], 100),
    ],
)
def test_areas_are_those_that_imagej_measures(points, area):
    assert fill([np.array(points)], SHAPE).sum() == area


def test_neighbours_share_no_pixel_and_leave_none():
    squares = [np.array([(x, 5.5), (x + 10, 5.5), (x + 10, 15.5), (x, 15.5)]) for x in (5.5, 15.5)]
    np.testing.assert_array_equal(
        sum(fill([ring], SHAPE).astype(int) for ring in squares),
        fill([np.array([(5.5, 5.5), (25.5, 5.5), (25.5, 15.5), (5.5, 15.5)])], SHAPE),
    )


def test_what_lies_outside_is_cut_off():
    ring = np.array([(-10, -10), (60, -10), (60, 50), (-10, 50)])
    assert fill([ring], SHAPE).all()
