"""What is measured of every nucleus, against what is known of drawn ones."""

import math

import numpy as np
import pytest
from devonet_ndn.nuclei import COLUMNS, measure_nuclei
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst


def measure(labels: np.ndarray, intensity: np.ndarray | None = None, spacing=(1.0, 1.0, 1.0), **more) -> list[dict]:
    rows = measure_nuclei(labels, np.ones(labels.shape) if intensity is None else intensity, spacing, **more)
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.8, 0.8), (1.0, 0.5, 0.7)])
@pytest.mark.parametrize("radius", [6.0, 9.0])
def test_a_ball_has_the_size_of_a_ball(distance_um, spacing, radius):
    centre = (12.0, 12.8, 13.3)
    shape = tuple(math.ceil(26 / step) for step in spacing)
    (ball,) = measure((distance_um(shape, centre, spacing) <= radius).astype(int), spacing=spacing)
    assert ball["volume_um3"] == pytest.approx(4 / 3 * math.pi * radius**3, rel=0.03)
    # the steps between voxels make the surface larger than it is, the more so the less cubic they are
    assert ball["surface_area_um2"] == pytest.approx(4 * math.pi * radius**2, rel=0.15)
    assert 0.85 <= ball["sphericity"] <= 1
    assert [ball[f"{axis}_um"] for axis in "zyx"] == pytest.approx(centre, abs=0.15)


def test_a_box_is_measured_exactly_but_for_its_edges():
    labels = np.zeros((24, 34, 44), int)
    labels[2:22, 2:32, 2:42] = 1
    spacing = (2.0, 0.5, 0.25)  # 40 x 15 x 10 µm
    (box,) = measure(labels, spacing=spacing)
    assert box["volume_um3"] == 40 * 15 * 10
    assert [box["z_um"], box["y_um"], box["x_um"]] == [11.5 * 2, 16.5 * 0.5, 21.5 * 0.25]
    assert box["surface_area_um2"] == pytest.approx(2 * (40 * 15 + 40 * 10 + 15 * 10), rel=0.03)


@settings(max_examples=60)
@given(npst.arrays(np.int32, (4, 5, 6), elements=st.sampled_from([0, 0, 2, 5])), st.sampled_from([1.0, 0.3, 4.0]))
def test_nothing_is_rounder_than_a_ball(labels, height):
    for nucleus in measure(labels, spacing=(height, 1.0, 1.0)):
        assert 0 < nucleus["sphericity"] <= 1


@settings(max_examples=40)
@given(npst.arrays(np.int32, (4, 5, 6), elements=st.sampled_from([0, 2, 5, 70000])))
def test_numbers_agree_with_counting_voxels(labels):
    intensity, spacing = np.random.default_rng(0).random(labels.shape), (2.0, 0.5, 0.25)
    rows = measure(labels, intensity, spacing)
    assert [row["id"] for row in rows] == sorted(set(labels.flat) - {0})
    for row in rows:
        region = labels == row["id"]
        assert row["volume_um3"] == pytest.approx(region.sum() * 0.25)
        assert row["mean_intensity"] == pytest.approx(intensity[region].mean())
        assert [row["z_um"], row["y_um"], row["x_um"]] == pytest.approx(np.argwhere(region).mean(axis=0) * spacing)


@pytest.mark.parametrize("place", [(0, 0, 0), (1, 2, 3), (3, 4, 5)])
def test_a_single_voxel_is_a_nucleus_wherever_it_lies(place):
    labels = np.zeros((4, 5, 6), int)
    labels[place] = 3
    (voxel,) = measure(labels, spacing=(2.0, 1.0, 0.5))
    assert voxel["volume_um3"] == 1.0
    assert [voxel["z_um"], voxel["y_um"], voxel["x_um"]] == [place[0] * 2, place[1], place[2] * 0.5]
    assert 0 < voxel["surface_area_um2"] < 7 and 0 < voxel["sphericity"] <= 1


def test_without_nuclei_there_are_no_rows():
    assert measure(np.zeros((3, 4, 5), int)) == []


def test_objects_that_no_marker_began_are_marked():
    rows = measure(np.array([[[1, 0, 4, 0, 6]]]), without_marker=np.array([4, 6]))
    assert {row["id"]: row["marker"] for row in rows} == {1: 1, 4: 0, 6: 0}
