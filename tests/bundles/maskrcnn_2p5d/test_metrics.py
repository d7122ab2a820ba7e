"""Scores of instance volumes."""

import numpy as np
import pytest
import torch
from maskrcnn_2p5d.common.metrics.objects import ObjectMetric
from maskrcnn_2p5d.metrics import SliceF1Metric


def volume(*boxes: tuple[slice, slice, slice]) -> torch.Tensor:
    """Label volume (1, 1, X, Y, Z) with a box for each object."""
    labels = torch.zeros(1, 1, 6, 6, 4, dtype=torch.int32)
    for label, box in enumerate(boxes, start=1):
        labels[0, 0][box] = label
    return labels


EMPTY = volume()
LEFT = (slice(0, 3), slice(0, 6), slice(0, 4))
RIGHT = (slice(3, 6), slice(0, 6), slice(0, 4))
HALF_DEPTH = (slice(0, 3), slice(0, 6), slice(0, 2))


def value(kind: str, *pairs: tuple[torch.Tensor, torch.Tensor]) -> tuple[float, list[float]]:
    metric = SliceF1Metric() if kind == "slice_f1" else ObjectMetric(kind)
    for y_pred, y in pairs:
        metric(list(y_pred), list(y))
    buffer = metric.get_buffer()
    assert buffer.shape == (len(pairs), 1)
    return float(metric.aggregate()), buffer[:, 0].tolist()


@pytest.mark.parametrize(
    ("kind", "result", "truth", "expected"),
    [
        ("iou", volume(LEFT, RIGHT), volume(LEFT), 0.5),
        ("iou", EMPTY, EMPTY, 1.0),
        ("iou", EMPTY, volume(LEFT), 0.0),
        ("slice_f1", volume(HALF_DEPTH), volume(LEFT), 2 * 2 / (2 + 4)),  # found in two slices of four
        ("slice_f1", volume(LEFT, RIGHT), volume(LEFT), 2 * 4 / (8 + 4)),
        ("slice_f1", volume(LEFT), EMPTY, 0.0),
        ("slice_f1", EMPTY, EMPTY, float("nan")),
        ("f1", volume(HALF_DEPTH), volume(LEFT), 0.0),  # half of an object is no match
        ("f1", volume(LEFT, RIGHT), volume(LEFT), 2 * 1 / (2 + 1)),
        ("f1", EMPTY, EMPTY, float("nan")),
        ("count_error", volume(LEFT, RIGHT), volume(LEFT), 1.0),
        ("count_error", EMPTY, volume(LEFT, RIGHT), 2.0),
        ("seg", EMPTY, volume(LEFT), 0.0),
        ("seg", volume(LEFT), EMPTY, float("nan")),
    ],
)
def test_scores_of_one_volume(kind, result, truth, expected):
    total, each = value(kind, (result, truth))
    assert [total, *each] == pytest.approx([expected, expected], nan_ok=True)


def test_slice_f1_pools_masks_and_the_others_are_means_over_volumes():
    pairs = [(volume(LEFT), volume(LEFT)), (EMPTY, volume(LEFT, RIGHT))]
    assert value("slice_f1", *pairs)[0] == pytest.approx(2 * 4 / (4 + 4 + 8))
    assert value("iou", *pairs)[0] == pytest.approx(0.5)
    assert value("count_error", *pairs)[0] == pytest.approx(1.0)


def test_slices_may_lie_along_another_axis():
    result, truth = (labels.permute(0, 1, 4, 3, 2) for labels in (volume(HALF_DEPTH), volume(LEFT)))
    metric = SliceF1Metric(slice_axis=0)
    metric(result, truth)
    assert float(metric.aggregate()) == pytest.approx(2 / 3)


def test_other_shapes_and_floating_labels_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        SliceF1Metric()(EMPTY, EMPTY[..., :2])
    with pytest.raises(ValueError, match="expected integers"):
        SliceF1Metric()(EMPTY.double(), EMPTY)
    with pytest.raises(ValueError, match="nothing to aggregate"):
        SliceF1Metric().aggregate()


def test_scores_do_not_depend_on_names():
    names = torch.from_numpy(np.array([0, 900000, 3], np.int32))
    result = volume(LEFT, RIGHT)
    assert value("slice_f1", (names[result.long()], result)) == value("slice_f1", (result, result))
