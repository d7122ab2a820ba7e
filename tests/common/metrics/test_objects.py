"""The MONAI metrics keep one value per volume, and pool over objects or are means over images."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from monai.data import MetaTensor

from common.labels.seg import seg
from common.metrics.objects import ObjectMetric
from common.metrics.ratios import f1_ratio, seg_ratio
from tests.common.labels.images import label_pairs

ONE_OF_ONE = (torch.tensor([[1, 1, 0]]), torch.tensor([[1, 1, 0]]))
NONE_OF_THREE = (torch.tensor([[0, 0, 0, 0]]), torch.tensor([[1, 2, 3, 0]]))
NO_OBJECT = (torch.tensor([[1, 0]]), torch.tensor([[0, 0]]))


def channel_first(pair):
    """Result and reference, each (1, 1, x), from a result and a reference."""
    return [labels[None] for labels in pair]


@pytest.mark.parametrize(
    ("kind", "per_volume", "aggregate"),
    [
        ("seg", [1.0, 0.0, np.nan], 1 / 4),  # pooled over objects
        ("seg_per_image", [1.0, 0.0, np.nan], 1 / 2),  # the mean over the volumes that have objects
        ("f1", [1.0, 0.0, 0.0], 2 * 1 / (2 + 3 + 1)),
    ],
)
def test_there_is_one_value_per_volume_and_one_of_all(kind, per_volume, aggregate):
    metric = ObjectMetric(kind)
    metric(*channel_first(NO_OBJECT[1:] * 2))
    assert metric.aggregate().isnan(), "no object, neither true nor found"
    metric.reset()
    for pair in (ONE_OF_ONE, NONE_OF_THREE, NO_OBJECT):
        metric(*channel_first(pair))
    np.testing.assert_array_equal(metric.get_buffer()[:, 0], per_volume)
    assert metric.aggregate().item() == pytest.approx(aggregate)
    metric.reset()
    with pytest.raises(ValueError, match="nothing to aggregate"):
        metric.aggregate()


@given(label_pairs())
@settings(max_examples=40)
def test_mucov_is_the_best_iou_of_each_object_found(pair):
    """Written out object by object, as the paper defines it."""
    truth, result = pair
    best = []
    for found in np.unique(result[result > 0]):
        mask = result == found
        others = [truth == true for true in np.unique(truth[truth > 0])]
        best.append(max((np.sum(mask & true) / np.sum(mask | true) for true in others), default=0.0))
    metric = ObjectMetric("mucov")
    metric(*channel_first([torch.from_numpy(result[None].copy()), torch.from_numpy(truth[None].copy())]))
    expected = np.mean(best) if best else (0.0 if truth.any() else np.nan)
    assert metric.aggregate().item() == pytest.approx(expected, nan_ok=True)


def test_mucov_falls_with_false_objects_which_seg_does_not_see():
    truth, result = torch.tensor([[1, 1, 0, 0]]), torch.tensor([[1, 1, 0, 2]])
    scores = {kind: ObjectMetric(kind) for kind in ("seg", "mucov")}
    for metric in scores.values():
        metric(*channel_first((result, truth)))
    assert {kind: metric.aggregate().item() for kind, metric in scores.items()} == {"seg": 1.0, "mucov": 0.5}


@settings(max_examples=60)
@given(label_pairs())
def test_f1_pairs_each_object_once(pair):
    reference, result = pair
    objects, found = ([image == label for label in np.unique(image[image > 0])] for image in pair)
    num_pairs = sum((a & b).sum() > 0.5 * (a | b).sum() for a in objects for b in found)
    assert f1_ratio(result, reference) == (2 * num_pairs, len(objects) + len(found))


@settings(max_examples=40)
@given(label_pairs())
def test_ap_is_the_mean_share_of_true_positives(pair):
    """Written out object by object, as the Data Science Bowl counted."""
    truth, result = pair
    objects, found = ([image == label for label in np.unique(image[image > 0])] for image in pair)
    ious = [(a & b).sum() / (a | b).sum() for a in objects for b in found]
    shares = []
    for least in np.linspace(0.5, 0.9, 9).round(2):
        hits = sum(iou > least for iou in ious)
        misses, extras = len(objects) - hits, len(found) - hits
        shares.append(hits / (hits + misses + extras) if objects or found else np.nan)
    metric = ObjectMetric("ap")
    metric(*channel_first([torch.from_numpy(result[None].copy()), torch.from_numpy(truth[None].copy())]))
    assert metric.aggregate().item() == pytest.approx(np.mean(shares), nan_ok=True)


def test_kind_that_there_is_not():
    with pytest.raises(
        ValueError, match="kind is 'dice', expected one of seg, seg_per_image, mucov, f1, ap, iou, count_error"
    ):
        ObjectMetric("dice")


def test_volumes_of_different_shapes_come_as_lists():
    metric = ObjectMetric("seg")
    results, references = zip(ONE_OF_ONE, NONE_OF_THREE, strict=True)
    metric(list(results), list(references))
    assert metric.get_buffer().tolist() == [[1.0], [0.0]]


@settings(max_examples=60)
@given(label_pairs())
def test_equals_the_function_on_arrays(pair):
    reference, result = (MetaTensor(labels.astype(np.int32)[None, None]) for labels in pair)
    metric = ObjectMetric("seg")
    metric(result, reference)
    np.testing.assert_array_equal(metric.get_buffer(), np.float32([[seg(*pair)]]))
    assert seg_ratio(*pair[::-1])[1] == len(np.unique(pair[0][pair[0] > 0]))


@pytest.mark.parametrize(
    ("y_pred", "y", "message"),
    [
        (torch.ones(1, 1, 3), torch.ones(1, 1, 3), "labels are float32, expected integers"),
        (torch.ones(1, 2, 3, dtype=int), torch.ones(1, 2, 3, dtype=int), r"expected label images of one shape \(1, "),
        (torch.ones(1, 1, 3, dtype=int), torch.ones(1, 1, 4, dtype=int), r"y_pred \(1, 3\), y \(1, 4\)"),
        (torch.ones(1, 1, 3, dtype=int), None, "a score needs the truth"),
    ],
)
def test_refuses_what_are_not_label_images(y_pred, y, message):
    with pytest.raises(ValueError, match=message):
        ObjectMetric("seg")(y_pred, y)
