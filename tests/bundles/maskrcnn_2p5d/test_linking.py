"""Objects of slices become objects of volumes."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from maskrcnn_2p5d.common.errors import InputError
from maskrcnn_2p5d.common.labels.seg import count_overlaps, seg
from maskrcnn_2p5d.detections import SliceObjects
from maskrcnn_2p5d.linking import LinkedVolume, SliceLinker, interpolate_shape, link_slices, match_slices
from scipy import ndimage

slices = npst.arrays(np.int32, (5, 6), elements=st.integers(0, 4))
stacks = npst.arrays(np.int32, (4, 4, 5), elements=st.integers(0, 3))


def link_stack(labels: np.ndarray, scores=None, **settings) -> LinkedVolume:
    """Link slices (Z, Y, X) whose objects are numbered independently of each other."""
    each = [None] * len(labels) if scores is None else scores
    planes = (SliceObjects(plane, given) for plane, given in zip(labels, each, strict=True))
    return link_slices(planes, labels.shape, **settings)


def dense_iou(first: np.ndarray, second: np.ndarray) -> float:
    return np.count_nonzero(first & second) / np.count_nonzero(first | second)


def best_total(first: np.ndarray, second: np.ndarray, min_iou: float) -> float:
    """Largest total IoU of all assignments, by trying every one on dense masks."""
    rows, columns = (np.setdiff1d(labels, [0]).tolist() for labels in (first, second))
    gains = {(i, j): dense_iou(first == i, second == j) for i in rows for j in columns}
    gains = {pair: iou for pair, iou in gains.items() if iou >= min_iou and iou > 0}
    partners = itertools.permutations([*columns, *[None] * len(rows)], len(rows))
    return max(sum(gains.get(pair, 0) for pair in zip(rows, chosen, strict=True)) for chosen in partners)


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def same_partition(first: np.ndarray, second: np.ndarray) -> bool:
    pairs = np.unique(np.stack([first.ravel(), second.ravel()]), axis=1)
    return all(len(np.unique(row)) == pairs.shape[1] for row in pairs)


@settings(max_examples=40)
@given(slices, slices, st.sampled_from([0.0, 0.1, 0.3, 0.6]))
def test_matching_is_the_best_of_all_assignments(first, second, min_iou):
    pairs = match_slices(count_overlaps(first, second), min_iou)
    ious = [dense_iou(first == i, second == j) for i, j in pairs]
    assert all(iou >= min_iou and iou > 0 for iou in ious)
    assert all(len(set(column)) == len(pairs) for column in pairs.T)
    assert sum(ious) == pytest.approx(best_total(first, second, min_iou))


@settings(max_examples=40)
@given(stacks, st.integers(0, 2), st.integers(1, 3))
def test_tracks_hold_one_object_per_slice_and_numbers_have_no_gaps(stack, max_gap, min_slices):
    linked = link_stack(stack, min_iou=0.2, max_gap=max_gap, min_slices=min_slices, fill_gaps=False)
    assert np.setdiff1d(linked.labels, [0]).tolist() == list(range(1, len(linked.scores) + 1))
    for labels, tracks in zip(stack, linked.labels, strict=True):
        kept = tracks > 0
        assert (labels[kept] > 0).all() and same_partition(labels[kept], tracks[kept])
    for number in range(1, len(linked.scores) + 1):
        seen = np.flatnonzero((linked.labels == number).any(axis=(1, 2)))
        assert len(seen) >= min_slices and np.diff(seen, prepend=seen[0]).max() <= max_gap + 1


@settings(max_examples=20)
@given(stacks, st.permutations([1, 2, 3]))
def test_names_within_a_slice_do_not_matter(stack, names):
    renamed = stack.copy()
    renamed[1] = np.array([0, *names])[stack[1]]
    settings = {"min_iou": 0.55, "min_slices": 1, "max_gap": 0}  # above one half no pair is disputed
    assert same_partition(link_stack(stack, **settings).labels, link_stack(renamed, **settings).labels)


def test_separate_objects_agree_with_connected_components():
    stack = np.zeros((6, 40, 40), np.int32)
    for z, (y, x) in itertools.product(range(6), itertools.product([8, 28], repeat=2)):
        stack[z][disc((40, 40), (y + 0.5 * z, x), 6)] = 1
    components, _ = ndimage.label(stack)
    shuffled = np.stack([ndimage.label(labels)[0] for labels in stack])
    linked = link_stack(shuffled)
    assert same_partition(linked.labels, components) and len(linked.scores) == 4


def test_touching_columns_are_told_apart_where_connected_components_merge_them():
    truth = np.zeros((5, 12, 20), np.int32)
    truth[:, 2:10, 2:10], truth[:, 2:10, 10:18] = 1, 2
    stack = truth.copy()
    stack[::2] = np.array([0, 2, 1])[truth[::2]]
    assert ndimage.label(stack > 0)[1] == 1
    assert seg(truth, link_stack(stack).labels) == 1.0
    assert seg(truth, ndimage.label(stack > 0)[0]) == 0.5


def column(missing: tuple[int, ...], depth: int = 7) -> np.ndarray:
    stack = np.zeros((depth, 16, 16), np.int32)
    stack[:, 4:12, 4:12] = 3
    stack[list(missing)] = 0
    return stack


@pytest.mark.parametrize(
    ("missing", "max_gap", "num_objects"), [((3,), 0, 2), ((3,), 1, 1), ((3, 4), 1, 2), ((3, 4), 2, 1)]
)
def test_an_object_goes_on_over_gaps_as_long_as_allowed(missing, max_gap, num_objects):
    linked = link_stack(column(missing), max_gap=max_gap)
    assert len(linked.scores) == num_objects
    if num_objects == 1:
        assert (linked.labels == (column(()) > 0)).all()  # filled, by one object


def test_a_slice_that_was_filled_is_none_in_which_the_object_was_detected():
    stack, scores = column((1,), depth=3), [np.full(3, score) for score in (0.2, 0.9, 0.6)]
    assert link_stack(stack, scores, min_slices=2).scores.tolist() == pytest.approx([0.4])
    assert link_stack(stack, scores, min_slices=3).scores.shape == (0,)


@pytest.mark.parametrize("swap", [False, True])
def test_of_two_objects_that_overlap_a_track_alike_the_lower_number_goes_on(swap):
    stack = np.zeros((2, 4, 8), np.int32)
    stack[0, :, 2:6] = 1
    stack[1, :, 2:4], stack[1, :, 4:6] = (2, 1) if swap else (1, 2)
    linked = link_stack(stack, min_iou=0.5, min_slices=1).labels
    assert linked[0, 0, 2] == 1
    assert linked[1, 0, 2:6].tolist() == ([2, 2, 1, 1] if swap else [1, 1, 2, 2])


@pytest.mark.parametrize(("min_iou", "num_objects"), [(0.5, 1), (0.51, 2)])
def test_the_smallest_iou_of_a_link_is_one(min_iou, num_objects):
    stack = np.zeros((2, 4, 8), np.int32)
    stack[0, :, :4], stack[1, :, :2] = 1, 1
    assert len(link_stack(stack, min_iou=min_iou, min_slices=1).scores) == num_objects


def test_slices_and_the_shape_of_the_volume_have_to_agree():
    slices = [SliceObjects(np.zeros((4, 4), np.int32), None)] * 2
    with pytest.raises(ValueError, match=r"2 slices for a volume of shape \(3, 4, 4\)"):
        link_slices(slices, (3, 4, 4))


def test_a_track_that_has_gone_on_takes_no_second_object_from_where_it_was_before():
    stack = np.zeros((3, 4, 8), np.int32)
    stack[0], stack[1, :, :4], stack[2, :, :4], stack[2, :, 4:] = 1, 1, 1, 2
    linked = link_stack(stack, min_iou=0.5, min_slices=1, max_gap=1).labels
    assert linked[:, 0, 0].tolist() == [1, 1, 1] and linked[2, 0, 4:].tolist() == [2] * 4


def test_gaps_stay_open_on_demand():
    assert not link_stack(column((3,)), fill_gaps=False).labels[3].any()


def test_filling_leaves_other_objects_alone():
    stack = column((3,))
    stack[3, 4:8, 4:12] = 9
    linked = link_stack(stack, min_iou=0.6, min_slices=1)
    assert (linked.labels[3, 4:8, 4:12] == 2).all() and (linked.labels[3, 8:12, 4:12] == 1).all()


def test_the_nearer_slice_goes_first():
    stack = np.zeros((3, 4, 8), np.int32)
    stack[0, :, 0:4], stack[1, :, 2:6], stack[2, :, 1:5] = 1, 1, 1
    linked = link_stack(stack, min_iou=0.5, min_slices=1)  # slice 2 overlaps both equally; slices 0 and 1 too little
    assert [np.unique(plane[plane > 0]).tolist() for plane in linked.labels] == [[1], [2], [2]]


def test_short_tracks_are_dropped_and_scores_are_means():
    stack = column(())
    stack[2, 13:, 13:] = 1
    stack[:, 4:12, 4:12] = 2
    scores = [np.array([0.3, 0.4 + 0.1 * z]) for z in range(7)]
    linked = link_stack(stack, scores)
    assert linked.scores.tolist() == pytest.approx([0.7]) and linked.labels.max() == 1
    assert link_stack(stack, scores, min_slices=1).scores.tolist() == pytest.approx([0.7, 0.3])


def test_a_single_slice_and_an_empty_volume_work():
    assert link_stack(column((), depth=1), min_slices=5).labels.max() == 1
    empty = link_stack(np.zeros((3, 4, 4), np.int32))
    assert not empty.labels.any() and empty.scores.shape == (0,)
    assert link_stack(np.zeros((0, 4, 4), np.int32)).labels.shape == (0, 4, 4)


def test_more_objects_than_16_bits_hold():
    stack = np.arange(1, 2 * 300 * 300 + 1, dtype=np.int64).reshape(2, 300, 300)
    linked = link_stack(stack, min_iou=0.5)
    assert len(linked.scores) == 300 * 300 and (linked.labels[0] == linked.labels[1]).all()
    huge = np.full((2, 2, 2), 2**40)
    assert link_stack(huge).labels.tolist() == np.ones((2, 2, 2)).tolist()


def test_no_more_slices_are_kept_than_a_gap_spans():
    linker = SliceLinker(max_gap=2)
    finished = [linker.add(labels) for labels in column((1, 4), depth=8)]
    assert [len(slices) for slices in finished] == [0, 0, 0, 1, 1, 1, 1, 1]
    assert len(linker._window) == 3
    slices, numbers, _ = linker.finish()
    assert len(slices) == 3 and numbers.tolist() == [0, 1]


@pytest.mark.parametrize("setting", [{"min_iou": 1.0}, {"max_gap": -1}, {"min_slices": 0}, {"max_gap": 0.5}])
def test_impossible_settings_are_refused(setting):
    with pytest.raises(InputError, match=f"{next(iter(setting))} is .*expected"):
        SliceLinker(**setting)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((4, 4)), "expected integers"),
        (np.full((4, 4), -1), "label -1"),
        (np.full((4, 4), 2), "2 but 1 scores"),
    ],
)
def test_what_is_no_label_image_is_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        SliceLinker().add(labels, np.ones(1))


def test_shapes_are_interpolated_between_slices():
    small, large = disc((40, 40), (18, 20), 5), disc((40, 40), (20, 20), 11)
    between = interpolate_shape(small, large, 0.5)
    assert (between >= (small & large)).all() and (between <= (small | large)).all()
    assert np.sqrt(between.sum() / np.pi) == pytest.approx(8, abs=0.7)
    assert (interpolate_shape(small, large, 0.0) == small).all()
    assert (interpolate_shape(small, large, 1.0) == large).all()
