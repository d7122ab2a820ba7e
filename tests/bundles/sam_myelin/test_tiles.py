"""Tiles cover the image, their cores do not overlap, and a fibre goes to the tile that shows it whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sam_myelin.common.errors import InputError
from sam_myelin.tiles import choose_tile_px, cut_tiles, tile_of_boxes, tile_side


@given(st.integers(1, 90), st.integers(1, 90), st.integers(8, 40), st.integers(0, 3))
def test_every_pixel_has_one_core_and_a_halo_around(height, width, tile_px, halo_px):
    covered = np.zeros((height, width), int)
    for tile in cut_tiles((height, width), tile_px=tile_px, halo_px=halo_px):
        top, left, bottom, right = tile.core
        covered[top:bottom, left:right] += 1
        assert bottom > top and right > left
        outer = np.array(tile.outer).reshape(2, 2)
        np.testing.assert_array_equal(outer[1] - outer[0], np.minimum(tile_px, (height, width)))
        assert covered[tile.slices].shape == tuple(outer[1] - outer[0])
        first, last = np.maximum(0, [top - halo_px, left - halo_px]), np.array([bottom, right]) + halo_px
        assert (outer[0] <= first).all() and (outer[1] >= np.minimum(last, (height, width))).all()
    assert (covered == 1).all()


def test_boxes_go_where_they_are_whole():
    tiles = cut_tiles((20, 50), tile_px=20, halo_px=5)
    assert [tile.outer[1] for tile in tiles] == [0, 10, 20, 30]
    boxes = np.array([[0, 0, 4, 4], [12, 3, 19, 9], [14, 0, 25, 9], [46, 10, 49, 19], [20, 5, 20, 5]])
    np.testing.assert_array_equal(tile_of_boxes(boxes, tiles), [0, 1, 1, 3, 1])
    assert tile_of_boxes(np.zeros((0, 4)), tiles).shape == (0,)


def test_halo_without_core():
    with pytest.raises(InputError, match="--halo_px 10: tiles of 20 pixels keep no core; give 0 to 9"):
        cut_tiles((50, 50), tile_px=20, halo_px=10)


@pytest.mark.parametrize(
    ("pixel_size_um", "tile_px"),
    [(None, 672), (0.0022, 1344), (0.0044, 672), (0.01, 672), (0.025, 672), (0.05, 336), (0.1, 168), (0.5, 168)],
)
def test_large_pixels_are_magnified_and_tiny_ones_shrunk(pixel_size_um, tile_px):
    assert choose_tile_px(pixel_size_um, 672) == tile_px


@pytest.mark.parametrize("pixel_size_um", [0, -0.1, 1e-320, float("nan"), float("inf")])
def test_pixels_without_a_size(pixel_size_um):
    with pytest.raises(InputError, match="--pixel_size_um .*: expected a positive number"):
        choose_tile_px(pixel_size_um, 672)


def test_side_that_is_asked_for_counts():
    assert tile_side(300, 0.1, 672) == 300
    assert [tile_side("auto", size, 672) for size in (0.05, None, float("nan"))] == [336, 672, 672]
    for wrong in (0, 1.5, True, "large"):
        with pytest.raises(InputError, match=f"--tile_px {wrong}: expected a positive whole number of pixels, or auto"):
            tile_side(wrong, None, 672)
