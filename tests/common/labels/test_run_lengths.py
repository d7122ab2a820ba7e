"""Run lengths: column-major, from 1, there and back, and refused where they are wrong."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from common.labels.run_lengths import decode_rle, encode_rle

masks = npst.arrays(bool, npst.array_shapes(min_dims=2, max_dims=2, max_side=9))


def encode_by_loop(mask):
    """Oracle: pixel by pixel down the columns."""
    runs, height = [], mask.shape[0]
    for position in range(mask.size):
        if mask[position % height, position // height]:
            if runs and sum(runs[-1]) == position + 1:
                runs[-1][1] += 1
            else:
                runs.append([position + 1, 1])
    return " ".join(f"{start} {length}" for start, length in runs) or "0 0"


def decode_by_loop(encoding, shape):
    """Oracle: run by run."""
    flat, numbers = np.zeros(shape[0] * shape[1], bool), list(map(int, encoding.split()))
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        flat[start - 1 : start - 1 + length] = True
    return flat.reshape(shape[::-1]).T


def test_runs_go_down_the_columns_and_count_from_1():
    mask = np.array([[0, 1, 0], [1, 1, 0]], bool)
    assert encode_rle(mask) == "2 3"
    np.testing.assert_array_equal(decode_rle("2 3", (2, 3)), mask)


@pytest.mark.parametrize("encoding", ["", "0 0", "  ", "0  0"])
def test_nothing_and_0_0_are_empty(encoding):
    assert not decode_rle(encoding, (4, 5)).any()
    assert encode_rle(np.zeros((4, 5), bool)) == "0 0"


@given(masks)
def test_agrees_with_a_loop_over_pixels(mask):
    assert encode_rle(mask) == encode_rle(np.asfortranarray(mask)) == encode_by_loop(mask)


@given(masks)
def test_there_and_back(mask):
    decoded = decode_rle(encode_rle(mask), mask.shape)
    np.testing.assert_array_equal(decoded, mask)
    assert decoded.dtype == bool and decoded.flags.c_contiguous


@given(st.data(), st.integers(1, 7), st.integers(1, 7))
def test_runs_that_touch_and_come_in_any_order_agree_with_a_loop_over_runs(data, height, width):
    cuts = sorted(data.draw(st.sets(st.integers(0, height * width), min_size=2)))
    runs = [(a + 1, b - a) for a, b in itertools.pairwise(cuts)]
    chosen = data.draw(st.permutations(data.draw(st.lists(st.sampled_from(runs), unique=True, min_size=1))))
    encoding = " ".join(f"{start} {length}" for start, length in chosen)
    expected = decode_by_loop(encoding, (height, width))
    np.testing.assert_array_equal(decode_rle(encoding, (height, width)), expected)


def test_numbers_other_than_0_are_set_and_the_input_is_not_changed():
    mask = np.array([[0, 7], [255, 0]], np.uint8)
    assert encode_rle(mask) == "2 2"
    assert mask.tolist() == [[0, 7], [255, 0]]


@pytest.mark.parametrize(
    ("encoding", "reason"),
    [
        ("1 2 5", "3 values, expected pairs of start and length"),
        ("20 2", "run 20 2: it runs past the 20 pixels of 4 x 5; check the image"),
        ("1 99999999999999999999", "it runs past the 20 pixels"),
        ("9223372036854775807 9223372036854775807", "it runs past the 20 pixels"),
        ("3 4 6 2", "run 3 4: it overlaps the next one; merge the two"),
        ("3 -2", "run 3 -2: its length is below 1"),
        ("0 3", "run 0 3: it starts before pixel 1; count from 1"),
        ("1 2 0 0", "run 0 0: its length is below 1"),
        ("1 two", "'two' is no whole number"),
        ("[1, 2]", r"'\[1,' is no whole number"),
    ],
)
def test_wrong_runs_are_refused(encoding, reason):
    with pytest.raises(ValueError, match=reason):
        decode_rle(encoding, (4, 5))
