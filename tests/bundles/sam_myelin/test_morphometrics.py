"""Concentric circles measure what they are."""

import numpy as np
import pytest
from sam_myelin.common.errors import InputError
from sam_myelin.common.tables import write_table
from sam_myelin.morphometrics import COLUMNS, measure_fibres


def circles(y: float, x: float, inner: float, outer: float, label: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Label map (120, 140) of a round fibre, and its axon; radii in pixels."""
    rows, columns = np.indices((120, 140))
    distance = np.hypot(rows - y, columns - x)
    return np.where(distance <= outer, label, 0), distance <= inner


def measured(*args, **kwargs) -> list[dict[str, float]]:
    columns, rows = measure_fibres(*args, **kwargs)
    return [dict(zip(columns, row, strict=True)) for row in rows]


@pytest.mark.parametrize(("inner", "outer"), [(30, 40), (20, 50), (38, 40)])
def test_concentric_circles_in_um(inner, outer):
    (fibre,) = measured(*circles(60, 70, inner, outer), pixel_size_um=0.05)
    assert fibre["axon_diameter_um"] == pytest.approx(2 * inner * 0.05, rel=0.01)
    assert fibre["fibre_diameter_um"] == pytest.approx(2 * outer * 0.05, rel=0.01)
    assert fibre["myelin_thickness_um"] == pytest.approx((outer - inner) * 0.05, abs=0.2 * 0.05)  # a fifth of a pixel
    assert fibre["g_ratio"] == pytest.approx(inner / outer, rel=0.01)
    assert fibre["axon_area_um2"] == pytest.approx(np.pi * (inner * 0.05) ** 2, rel=0.01)
    assert fibre["axon_area_um2"] + fibre["myelin_area_um2"] == pytest.approx(fibre["fibre_area_um2"])
    assert (fibre["id"], fibre["y_px"], fibre["x_px"], fibre["touches_border"]) == (1, 60, 70, 0)


def test_unknown_pixel_size_gives_pixels():
    columns, rows = measure_fibres(*circles(60, 70, 30, 40))
    assert columns == tuple(column.format("px") for column in COLUMNS) and "axon_area_px2" in columns
    in_um = measured(*circles(60, 70, 30, 40), pixel_size_um=2)[0]
    in_px = dict(zip(columns, rows[0], strict=True))
    assert in_um["fibre_diameter_um"] == pytest.approx(2 * in_px["fibre_diameter_px"])
    assert in_um["myelin_area_um2"] == pytest.approx(4 * in_px["myelin_area_px2"])
    assert in_um["g_ratio"] == in_px["g_ratio"] and in_um["y_px"] == in_px["y_px"]


def test_pixels_that_are_not_square():
    fibre = measured(*circles(60, 70, 30, 40), pixel_size_um=(0.5, 2))[0]
    assert fibre["fibre_area_um2"] == measured(*circles(60, 70, 30, 40), pixel_size_um=1)[0]["fibre_area_um2"]


def test_fibres_do_not_share_pixels_and_numbers_may_have_gaps():
    labels, axon = circles(30, 30, 10, 20, label=70_000)
    other, other_axon = circles(90, 100, 15, 18, label=5)
    small, large = measured(labels + other, axon | other_axon)
    assert (small["id"], large["id"]) == (5, 70_000)
    assert large["g_ratio"] == measured(labels, axon)[0]["g_ratio"] and small["fibre_diameter_px"] < 37


def test_without_axon_or_without_myelin():
    labels, axon = circles(60, 70, 30, 40)
    bare = measured(labels, np.zeros_like(axon))[0]
    assert all(np.isnan(bare[name]) for name in ("axon_diameter_px", "myelin_thickness_px", "g_ratio"))
    assert bare["axon_area_px2"] == 0 and bare["myelin_area_px2"] == bare["fibre_area_px2"]
    naked = measured(labels, labels > 0)[0]
    assert (naked["g_ratio"], naked["myelin_thickness_px"], naked["myelin_area_px2"]) == (1, 0, 0)


def test_fibre_cut_by_the_image_says_so():
    assert measured(*circles(60, 10, 5, 20))[0]["touches_border"] == 1
    assert measured(*circles(110, 60, 5, 9))[0]["touches_border"] == 1


def test_no_fibres(tmp_path):
    columns, rows = measure_fibres(np.zeros((5, 5), int), np.zeros((5, 5), bool), pixel_size_um=0.1)
    write_table(tmp_path / "a.csv", columns, rows)
    assert rows == [] and (tmp_path / "a.csv").read_text().splitlines() == [",".join(columns)]


@pytest.mark.parametrize("size", [0, -0.1, float("nan"), (0.1, 0), (0.1, 0.1, 0.1)])
def test_impossible_pixel_size(size):
    with pytest.raises(InputError, match="a pixel size of .* expected one or two positive numbers"):
        measure_fibres(*circles(60, 70, 30, 40), pixel_size_um=size)
