"""Axes and direction of the ellipse with an object's moments."""

import math
from types import SimpleNamespace

import pytest

from common.labels.ellipses import ellipse_of


@pytest.mark.parametrize(
    ("orientation", "direction"),
    [(0.0, 90.0), (-math.pi / 2, 0.0), (math.pi / 2, 0.0), (-math.pi / 2 - 1e-8, 0.0), (-math.pi / 2 + 0.1, 5.73)],
)
def test_direction_is_below_180_degrees_as_it_is_written(orientation, direction):
    region = SimpleNamespace(orientation=orientation, axis_major_length=4.0, axis_minor_length=2.0)
    major, minor, degrees = ellipse_of(region)
    assert (major, minor) == (4.0, 2.0) and degrees == pytest.approx(direction, abs=0.001)
    assert float(f"{degrees:.6g}") < 180
