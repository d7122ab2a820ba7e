"""The loops with which run lengths are compared are themselves right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from common.labels.run_lengths import decode_rle, encode_rle
from tools.bench.rle_loops import decode_by_loop, encode_by_groupby, encode_by_search

ENCODERS = [encode_by_groupby, encode_by_search]
masks = npst.arrays(bool, npst.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.booleans())


@pytest.mark.parametrize("encode", ENCODERS)
def test_hand_made_mask_is_read_down_its_columns(encode):
    mask = np.array([[0, 1, 0], [1, 1, 1]], bool)
    assert encode(mask) == "2 3 6 1"
    np.testing.assert_array_equal(decode_by_loop("2 3 6 1", (2, 3)), mask)


@pytest.mark.parametrize("encode", ENCODERS)
@given(mask=masks)
def test_loops_and_ours_agree(encode, mask):
    assert encode(mask) == encode_rle(mask)
    for row_major in (True, False):
        found = decode_by_loop(encode(mask), mask.shape, row_major=row_major)
        assert found.dtype == bool
        np.testing.assert_array_equal(found, decode_rle(encode(mask), mask.shape))
        np.testing.assert_array_equal(found, mask)


@pytest.mark.parametrize("encode", ENCODERS)
@pytest.mark.parametrize(("value", "text"), [(False, "0 0"), (True, "1 12")])
def test_empty_and_full_masks(encode, value, text):
    mask = np.full((3, 4), value)
    assert encode(mask) == text
    np.testing.assert_array_equal(decode_by_loop(text, (3, 4)), mask)


def test_only_the_row_major_one_is_copied():
    assert decode_by_loop("2 3", (4, 5)).flags.c_contiguous
    assert decode_by_loop("2 3", (4, 5), row_major=False).flags.f_contiguous
