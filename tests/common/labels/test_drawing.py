"""Outlines lie on the outermost pixels of objects."""

import numpy as np

from common.labels.drawing import draw_outlines, find_outlines, side_by_side

TOUCHING = np.kron(np.array([[1, 2], [0, 2]]), np.ones((4, 4), int))
RED, BLUE = (255, 0, 0), (0, 0, 255)


def outermost(labels):
    """Pixels of an object that touch another label, one by one."""
    padded = np.pad(labels, 1, mode="edge")
    around = [padded[1 + dy :, 1 + dx :][: len(labels), : labels.shape[1]] for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return (labels > 0) & np.any([part != labels for part in around[1::2]], axis=0)


def test_objects_that_touch_have_outlines_between_them():
    np.testing.assert_array_equal(find_outlines(TOUCHING), outermost(TOUCHING))


def test_a_mask_is_one_object():
    np.testing.assert_array_equal(find_outlines(TOUCHING > 0), outermost((TOUCHING > 0).astype(int)))


def test_a_small_object_is_seen_in_a_smaller_picture():
    labels = np.zeros((7, 10), int)
    labels[5, 8] = 3
    assert np.argwhere(find_outlines(labels, factor=4)).tolist() == [[1, 2]]


def test_a_later_layer_lies_over_an_earlier_one_and_the_picture_stays_as_it_was():
    picture = np.zeros((8, 8, 3), np.uint8)
    drawn = draw_outlines(picture, (TOUCHING > 0, RED), (TOUCHING, BLUE))
    assert {*map(tuple, drawn[find_outlines(TOUCHING)].tolist())} == {BLUE}
    assert not picture.any()


def test_thick_outlines_contain_thin_ones():
    thin, thick = (find_outlines(TOUCHING, thickness=thickness) for thickness in (1, 2))
    assert (thin <= thick).all() and thin.sum() < thick.sum()


def test_white_stands_between_pictures():
    picture = np.zeros((2, 3, 3), np.uint8)
    row, column = (side_by_side([picture, picture], 1, axis=axis) for axis in (1, 0))
    assert row.shape == (2, 7, 3) and column.shape == (5, 3, 3)
    assert (row[:, 3] == 255).all() and (column[2] == 255).all() and row.sum() == 2 * 3 * 255
