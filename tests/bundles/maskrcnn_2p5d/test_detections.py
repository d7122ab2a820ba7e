"""Detections of a slice become its label image."""

import numpy as np
import pytest
from maskrcnn_2p5d.detections import paint_detections


def paint(*objects: tuple[int, int, int, int, float], shape: tuple[int, int] = (20, 20), **settings):
    """Rectangles (y1, x1, y2, x2, score) as detections with masks that are sure of themselves."""
    boxes = np.array([(x1, y1, x2, y2) for y1, x1, y2, x2, _ in objects], float).reshape(-1, 4)
    masks = np.zeros((len(objects), 1, *shape))
    for mask, (y1, x1, y2, x2, _) in zip(masks, objects, strict=True):
        mask[0, y1:y2, x1:x2] = 0.9
    return paint_detections(boxes, np.array([item[4] for item in objects]), masks, **settings)


def test_the_higher_score_wins_overlaps():
    found = paint((0, 0, 10, 10, 0.4), (0, 8, 10, 20, 0.9))
    assert found.labels.dtype == np.int32 and found.scores.tolist() == pytest.approx([0.9, 0.4])
    assert (found.labels[:10, 8:20] == 1).all() and (found.labels[:10, :8] == 2).all()


def test_of_equal_scores_the_first_wins():
    assert paint((0, 0, 10, 10, 0.5), (0, 5, 10, 20, 0.5)).labels[0].tolist() == [1] * 10 + [2] * 10


def test_hidden_objects_are_dropped():
    second = (0, 0, 10, 12, 0.5)  # shows two of its twelve columns
    assert paint((0, 0, 10, 10, 0.9), second).scores.tolist() == pytest.approx([0.9])
    assert paint((0, 0, 10, 10, 0.9), second, min_visible=0.0).labels[0, 9:13].tolist() == [1, 2, 2, 0]


def test_an_object_that_shows_the_very_share_is_kept():
    second = (0, 0, 10, 12, 0.5)  # shows six of its twelve columns
    assert len(paint((0, 0, 10, 6, 0.9), second).scores) == 2
    assert len(paint((0, 0, 10, 6, 0.9), second, min_visible=0.51).scores) == 1


def test_small_objects_leave_their_pixels_to_others():
    found = paint((4, 4, 6, 6, 0.9), (0, 0, 10, 10, 0.5), min_area_px=5)
    assert (found.labels[:10, :10] == 1).all() and found.scores.tolist() == [0.5]


@pytest.mark.parametrize(("min_area_px", "num_found"), [(4, 1), (5, 0)])
def test_the_smallest_area_is_one(min_area_px, num_found):
    assert len(paint((4, 4, 6, 6, 0.9), min_area_px=min_area_px).scores) == num_found


def test_a_mask_counts_one_pixel_around_its_box_and_no_further():
    found = paint_detections(np.array([[6.0, 6.0, 10.0, 10.0]]), np.array([0.9]), np.ones((1, 20, 20)))
    assert np.argwhere(found.labels).min(axis=0).tolist() == [5, 5]
    assert np.argwhere(found.labels).max(axis=0).tolist() == [11, 11]


def test_a_mask_is_what_lies_above_the_threshold():
    masks = np.array([[[0.5, 0.51, 0.3, 0.9]]])
    found = paint_detections(np.array([[0.0, 0.0, 4.0, 1.0]]), np.array([0.8]), masks)
    assert found.labels.tolist() == [[0, 1, 0, 1]]


def test_objects_reach_to_the_edges():
    found = paint((0, 0, 20, 20, 0.7))
    assert found.labels.all()
    box = np.array([[-5.0, -5.0, 50.0, 50.0]])
    assert paint_detections(box, np.array([0.7]), np.ones((1, 20, 20))).labels.all()


def test_nothing_detected_is_an_empty_slice():
    found = paint(shape=(4, 5))
    assert found.labels.shape == (4, 5) and not found.labels.any() and found.scores.shape == (0,)


def test_arrays_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"boxes \(2, 4\), scores \(1,\)"):
        paint_detections(np.zeros((2, 4)), np.zeros(1), np.zeros((1, 4, 4)))
