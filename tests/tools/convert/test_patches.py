"""The patch index reaches the last row and column and drops black and white patches, nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.convert.patches import PatchRules, corners, index_patches


def index(image, mask=None, **rules):
    return index_patches(lambda top, bottom: image[top:bottom], image.shape[:2], mask, PatchRules(**rules))


def index_by_loop(image, mask, rules):
    """Oracle: every patch cut out and counted by itself."""
    size, kept = rules.patch_size, []
    starts = [sorted({*range(0, max(n - size, 0), rules.stride), max(n - size, 0)}) for n in image.shape[:2]]
    for y in starts[0]:
        for x in starts[1]:
            patch = image[y : y + size, x : x + size]
            black = np.mean((patch <= rules.black_level).all(-1))
            white = np.mean((patch >= rules.white_level).all(-1))
            if black < rules.black_share and white < rules.white_share:
                kept.append([y, x, int(mask[y : y + size, x : x + size].any())])
    return kept


@pytest.mark.parametrize(
    ("length", "expected"),
    [(1, [0]), (8, [0]), (9, [0, 1]), (12, [0, 4]), (13, [0, 4, 5]), (16, [0, 4, 8]), (17, [0, 4, 8, 9])],
)
def test_last_patch_ends_with_the_image(length, expected):
    assert corners(length, 8, 4).tolist() == expected


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
def test_patches_with_enough_overlap_cover_every_pixel(length, patch_size, stride):
    starts = corners(length, patch_size, min(stride, patch_size))
    covered = {pixel for start in starts for pixel in range(start, min(start + patch_size, length))}
    assert covered == set(range(length))
    assert starts[-1] == max(length - patch_size, 0)


@given(st.integers(0, 10**6), st.integers(1, 25), st.integers(1, 25), st.integers(1, 9), st.integers(1, 12))
def test_agrees_with_counting_patch_by_patch(seed, height, width, patch_size, stride):
    rng = np.random.default_rng(seed)
    image = rng.choice(
        np.array([0, 60, 61, 219, 220, 255], np.uint8), (height, width, 3), p=[0.3, 0.2, 0.1, 0.1, 0.1, 0.2]
    )
    mask = rng.random((height, width)) < 0.02
    rules = PatchRules(patch_size, stride, black_share=0.15, white_share=0.1)
    assert index(image, mask, **vars(rules)).tolist() == index_by_loop(image, mask, rules)


@pytest.mark.parametrize(("value", "share"), [(60, 0.30), (220, 0.65)])
def test_share_that_is_reached_drops_and_a_pixel_less_keeps(value, share):
    image = np.full((10, 10, 3), 128, np.uint8)
    image.reshape(-1, 3)[: round(100 * share)] = value
    assert len(index(image, patch_size=10)) == 0
    image[0, 0, 1] = 128
    assert index(image, patch_size=10).tolist() == [[0, 0, 0]]


def test_smaller_slide_gives_one_patch_whose_shares_are_of_the_slide():
    image = np.full((5, 7, 3), 128, np.uint8)
    assert index(image, np.eye(5, 7)).tolist() == [[0, 0, 1]]
    image[:2] = 0
    assert index(image).tolist() == []


def test_slide_of_glass_has_no_patch_unless_wanted():
    image = np.full((20, 20, 3), 255, np.uint8)
    assert index(image, patch_size=8, stride=4).shape == (0, 3)
    assert len(index(image, patch_size=8, stride=4, white_share=1.5)) == 16


def test_every_row_is_read_once():
    image, read = np.full((23, 9, 3), 128, np.uint8), []

    def read_rows(top, bottom):
        read.extend(range(top, bottom))
        return image[top:bottom]

    index_patches(read_rows, (23, 9), None, PatchRules(8, 4))
    assert read == list(range(23))
