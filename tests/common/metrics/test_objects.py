"""The MONAI metrics keep one value per volume, and pool over objects or are means over images."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.handlers import IgniteMetricHandler

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


def test_pools_over_objects_and_keeps_one_value_per_volume():
    metric = ObjectMetric("seg")
    for pair in (ONE_OF_ONE, NONE_OF_THREE, NO_OBJECT):
        metric(*channel_first(pair))
    np.testing.assert_array_equal(metric.get_buffer(), [[1.0], [0.0], [np.nan]])
    assert metric.aggregate().item() == pytest.approx(1 / 4)


def test_seg_per_image_is_the_mean_over_the_volumes_that_have_objects():
    metric = ObjectMetric("seg_per_image")
    for pair in (ONE_OF_ONE, NONE_OF_THREE, NO_OBJECT):
        metric(*channel_first(pair))
    np.testing.assert_array_equal(metric.get_buffer(), [[1.0], [0.0], [np.nan]])
    assert metric.aggregate().item() == pytest.approx(1 / 2)


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


def test_f1_counts_the_objects_of_all_volumes():
    metric = ObjectMetric("f1")
    for pair in (ONE_OF_ONE, NONE_OF_THREE, NO_OBJECT):
        metric(*channel_first(pair))
    np.testing.assert_allclose(metric.get_buffer(), [[1.0], [0.0], [0.0]])
    assert metric.aggregate().item() == pytest.approx(2 * 1 / (2 + 3 + 1))


def test_f1_is_the_harmonic_mean_of_precision_and_recall():
    metric = ObjectMetric("f1")
    metric(torch.tensor([[[1, 2, 3, 4, 0, 0]]]), torch.tensor([[[7, 8, 9, 0, 4, 5]]]))
    precision, recall = 3 / 4, 3 / 5
    assert metric.aggregate().item() == pytest.approx(2 * precision * recall / (precision + recall))


def test_f1_without_objects_in_the_truth():
    metric = ObjectMetric("f1")
    metric(torch.tensor([[[1, 2]]]), torch.tensor([[[0, 0]]]))
    assert metric.aggregate() == 0
    metric.reset()
    metric(*channel_first(NO_OBJECT[1:] * 2))
    assert metric.aggregate().isnan()


@settings(max_examples=60, deadline=None)
@given(label_pairs())
def test_f1_pairs_each_object_once(pair):
    reference, result = pair
    objects, found = ([image == label for label in np.unique(image[image > 0])] for image in pair)
    num_pairs = sum((a & b).sum() > 0.5 * (a | b).sum() for a in objects for b in found)
    assert f1_ratio(result, reference) == (2 * num_pairs, len(objects) + len(found))


@settings(max_examples=40, deadline=None)
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


def test_without_any_object_the_aggregate_is_undefined():
    metric = ObjectMetric("seg")
    metric(*channel_first(NO_OBJECT))
    assert metric.aggregate().isnan()


def test_reset_forgets():
    metric = ObjectMetric("seg")
    metric(*channel_first(NONE_OF_THREE))
    metric.reset()
    assert metric.get_buffer() is None
    with pytest.raises(ValueError, match="nothing to aggregate"):
        metric.aggregate()


@settings(max_examples=60, deadline=None)
@given(label_pairs())
def test_equals_the_function_on_arrays(pair):
    reference, result = (MetaTensor(labels.astype(np.int32)[None, None]) for labels in pair)
    metric = ObjectMetric("seg")
    metric(result, reference)
    np.testing.assert_array_equal(metric.get_buffer(), np.float32([[seg(*pair)]]))
    assert seg_ratio(*pair[::-1])[1] == len(np.unique(pair[0][pair[0] > 0]))


def test_works_in_an_engine_that_saves_details():
    engine = Engine(lambda engine, batch: {"pred": batch[0][None], "label": batch[1][None]})
    handler = IgniteMetricHandler(
        metric_fn=ObjectMetric("seg"), output_transform=lambda out: (out["pred"], out["label"]), save_details=True
    )
    engine.add_event_handler(Events.STARTED, lambda: setattr(engine.state, "metric_details", {}))
    handler.attach(engine, "seg")
    engine.run([ONE_OF_ONE, NONE_OF_THREE])
    assert engine.state.metrics["seg"] == pytest.approx(1 / 4)
    assert tuple(engine.state.metric_details["seg"].shape) == (2, 1)


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
