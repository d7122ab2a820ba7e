"""SEG is what the challenge defines, for any labels, and fast ways of counting change nothing."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.labels.seg import count_overlaps, match, seg
from tests.common.labels.images import NUM_LABELS, has_object, label_pairs, oracle


def rows(reference, result):
    """Label, matched result and IoU of every reference object."""
    matches = match(count_overlaps(np.array(reference), np.array(result)))
    return list(zip(matches.labels.tolist(), matches.results.tolist(), matches.ious.tolist(), strict=True))


@pytest.mark.parametrize(
    ("reference", "result", "expected"),
    [
        ([7, 7, 7, 0], [5, 5, 0, 5], [(7, 5, 0.5)]),
        ([7, 7], [5, 0], [(7, 0, 0.0)]),  # exactly half covered
        ([7, 7], [5, 6], [(7, 0, 0.0)]),  # split in halves
        ([1, 1, 2, 2], [3, 3, 3, 3], [(1, 3, 0.5), (2, 3, 0.5)]),  # one result over two references
        ([1, 2, 0], [0, 0, 0], [(1, 0, 0.0), (2, 0, 0.0)]),  # empty result
        ([0, 0, 0], [1, 0, 0], []),  # empty frame
        ([], [], []),
    ],
)
def test_by_hand(reference, result, expected):
    assert rows(np.array(reference, int), np.array(result, int)) == expected


def test_seg_is_the_mean_over_reference_objects():
    assert seg(np.array([1, 1, 2, 3]), np.array([4, 4, 5, 0])) == pytest.approx(2 / 3)


def test_without_reference_object_seg_is_undefined():
    assert math.isnan(seg(np.zeros((3, 4), int), np.ones((3, 4), int)))


@settings(max_examples=60)
@given(label_pairs().filter(has_object))
def test_agrees_with_py_ctcmetrics(pair):
    assert seg(*pair) == pytest.approx(oracle(*pair)[0], abs=1e-12)


@settings(max_examples=60)
@given(label_pairs())
def test_table_agrees_with_sets_of_pixels(pair):
    overlaps = count_overlaps(*pair)
    pixels = [{v: set(np.flatnonzero(image == v)) for v in range(1, NUM_LABELS) if v in image} for image in pair]
    assert overlaps.reference_labels.tolist() == list(pixels[0]) and overlaps.result_labels.tolist() == list(pixels[1])
    assert overlaps.reference_sizes.tolist() == [len(members) for members in pixels[0].values()]
    assert overlaps.result_sizes.tolist() == [len(members) for members in pixels[1].values()]
    common = {(r, s): len(a & b) for r, a in pixels[0].items() for s, b in pixels[1].items() if a & b}
    pairs = zip(overlaps.reference_labels[overlaps.references], overlaps.result_labels[overlaps.results], strict=True)
    assert dict(zip(pairs, overlaps.pixels, strict=True)) == common
    assert overlaps.ious.tolist() == [
        len(pixels[0][r] & pixels[1][s]) / len(pixels[0][r] | pixels[1][s]) for r, s in common
    ]


LIMITS = st.sampled_from([("BLOCK_PX", 5), ("MAX_TABLE", 1), ("MAX_TABLE", 10), ("MAX_LOOKUP", 1)])
NAMES = st.lists(st.integers(1, 2**62), min_size=NUM_LABELS - 1, max_size=NUM_LABELS - 1, unique=True)


@settings(max_examples=60)
@given(label_pairs(), st.lists(LIMITS, unique=True), st.booleans())
def test_every_way_of_counting_gives_the_same(pair, limits, transposed):
    expected = rows(*pair)
    pair = [np.asfortranarray(image) for image in pair] if transposed else pair
    with pytest.MonkeyPatch.context() as patch:
        for name, value in limits:
            patch.setattr(f"common.labels.seg.{name}", value)
        assert rows(*pair) == expected


@settings(max_examples=60)
@given(label_pairs(), NAMES, NAMES)
def test_renaming_changes_nothing_but_the_names(pair, reference_names, result_names):
    reference_names, result_names = np.array([0, *reference_names]), np.array([0, *result_names])
    renamed = rows(reference_names[pair[0]], result_names[pair[1]])
    assert sorted(renamed) == sorted((reference_names[r], result_names[s], iou) for r, s, iou in rows(*pair))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", ">u2", "int32", "uint32", "int64", "uint64"])
def test_any_integer_dtype(dtype):
    reference, result = np.array([[0, 100, 100], [0, 7, 7]], dtype), np.array([[0, 0, 100], [0, 9, 9]], dtype)
    assert rows(reference, result) == [(7, 9, 1.0), (100, 0, 0.0)]
    assert rows(reference, result.astype(np.int64)) == rows(reference, result)


@pytest.mark.parametrize("label", [255, 256, 65535, 65536, 2**24, 2**31, 2**63 - 1])
def test_labels_of_any_size_stay_apart(label):
    reference = np.array([0, label, label, label - 1, 1], np.uint64)
    assert rows(reference, reference) == [(1, 1, 1.0), (label - 1, label - 1, 1.0), (label, label, 1.0)]


def test_inputs_are_not_modified_and_may_be_read_only():
    images = [np.array([[0, 70000, 1]]), np.array([[2, 2, 70000]])]
    copies = [image.copy() for image in images]
    for image in images:
        image.flags.writeable = False
    seg(*images)
    assert all(map(np.array_equal, images, copies))


@pytest.mark.parametrize(
    ("reference", "result", "message"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), r"reference \(2, 3\) and result \(3, 2\) differ in shape"),
        (np.zeros(3), np.zeros(3, int), "reference: labels are float64, expected integers"),
        (np.zeros(3, int), np.zeros(3, bool), "result: labels are bool, expected integers"),
        (np.zeros(3, int), np.array([0, -1, 1]), "result: label -1, expected 0 for background"),
    ],
)
def test_refuses_what_are_not_two_label_images(reference, result, message):
    with pytest.raises(ValueError, match=message):
        seg(reference, result)
