"""Objects are drawn pixel by pixel as pycocotools draws them, and overlaps are decided by one rule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from tools.convert.contours import (
    areas,
    check_counts,
    compress_counts,
    decode_runs,
    draw_labels,
    encode_polygons,
    find_duplicates,
    find_hidden,
)

SHAPE = (23, 31)
coordinates = st.floats(-12, 45, width=32) | st.integers(-3, 35).map(float) | st.integers(-6, 70).map(lambda x: x / 2)
polygons = st.lists(coordinates, min_size=6, max_size=24).map(lambda values: np.array(values[: len(values) // 2 * 2]))
cells = st.lists(polygons, min_size=1, max_size=3)
masks = npst.arrays(bool, SHAPE, elements=st.booleans())


def ann_to_mask(parts: list[np.ndarray]) -> np.ndarray:
    """What pycocotools makes of an annotation."""
    coco = COCO()
    coco.imgs = {1: {"height": SHAPE[0], "width": SHAPE[1]}}
    return coco.annToMask({"image_id": 1, "segmentation": [part.tolist() for part in parts]}).astype(bool)


def labels_by_masks(drawn: list[np.ndarray], beneath: list[bool]) -> np.ndarray:
    """The rule of overlaps, with a mask per object."""
    labels = np.zeros(SHAPE, int)
    for index in sorted(range(len(drawn)), key=lambda i: (not beneath[i], -drawn[i].sum(), i)):
        labels[drawn[index]] = index + 1
    return labels


@given(st.lists(st.tuples(cells, st.booleans()), min_size=1, max_size=6))
def test_polygons_are_drawn_as_ann_to_mask_draws_them(objects):
    parts, beneath = [cell for cell, _ in objects], [crowd for _, crowd in objects]
    drawn = [ann_to_mask(cell) for cell in parts]
    encoded = encode_polygons(parts, SHAPE)
    for counts, mask in zip(encoded, drawn, strict=True):
        np.testing.assert_array_equal(draw_labels([counts], SHAPE), mask)
        assert check_counts(counts, SHAPE) == ""
    assert areas(encoded).tolist() == [mask.sum() for mask in drawn]
    np.testing.assert_array_equal(draw_labels(encoded, SHAPE, beneath=beneath), labels_by_masks(drawn, beneath))


@given(st.lists(masks, min_size=1, max_size=5))
def test_run_lengths_of_any_mask_are_read_as_pycocotools_reads_them(drawn):
    encoded = [coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"] for mask in drawn]
    starts, stops, owners = decode_runs(encoded)
    for index, mask in enumerate(drawn):
        flat = np.zeros(mask.size, bool)
        for start, stop in zip(starts[owners == index], stops[owners == index], strict=True):
            flat[start:stop] = True
        np.testing.assert_array_equal(flat, mask.T.ravel())
    np.testing.assert_array_equal(draw_labels(encoded, SHAPE), labels_by_masks(drawn, [False] * len(drawn)))


@given(masks)
def test_uncompressed_counts_become_the_compressed_ones(mask):
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat]))).tolist()
    counts = np.diff([0, *edges, flat.size]).tolist()
    assert compress_counts(counts, SHAPE) == coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"]


@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=30))
def test_any_text_is_run_lengths_or_gets_a_reason(text):
    fault = check_counts(text.encode(), SHAPE)
    assert fault or areas([text.encode()])[0] <= SHAPE[0] * SHAPE[1]


def square(x: float, y: float, side: float) -> list[np.ndarray]:
    return [np.array([x, y, x + side, y, x + side, y + side, x, y + side], float)]


def test_smaller_one_lies_on_top_and_of_equal_ones_the_last():
    encoded = encode_polygons([square(5, 5, 4), square(2, 2, 12), square(7, 5, 4)], SHAPE)
    labels = draw_labels(encoded, SHAPE)
    assert (labels[3, 3], labels[6, 6], labels[6, 8], labels[6, 10]) == (2, 1, 3, 3)
    assert labels.dtype == np.uint16


def test_twins_are_found_whatever_their_first_point():
    (corners,) = square(5, 5, 4)
    encoded = encode_polygons([square(1, 1, 3), [corners], [np.roll(corners, 2)], square(5, 5, 5), [corners]], SHAPE)
    assert find_duplicates(encoded) == [2, 4]
    assert find_hidden(draw_labels(encoded, SHAPE), 5) == [1, 2]


def test_more_objects_than_16_bits_hold():
    with pytest.raises(ValueError, match="65536 objects, 16 bits hold 65535"):
        draw_labels([b"0"] * 65536, SHAPE)


def test_no_object_is_an_empty_map():
    assert encode_polygons([], SHAPE) == []
    assert not draw_labels([], SHAPE).any()
    assert areas([]).size == 0
