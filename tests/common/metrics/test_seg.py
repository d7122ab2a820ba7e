"""The MONAI metric keeps one SEG per volume and pools over objects."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.handlers import IgniteMetricHandler

from common.labels.seg import seg
from common.metrics.seg import SEGMetric, compute_seg
from tests.common.labels.images import label_pairs

ONE_OF_ONE = (torch.tensor([[1, 1, 0]]), torch.tensor([[1, 1, 0]]))
NONE_OF_THREE = (torch.tensor([[0, 0, 0, 0]]), torch.tensor([[1, 2, 3, 0]]))
NO_OBJECT = (torch.tensor([[1, 0]]), torch.tensor([[0, 0]]))


def channel_first(pair):
    """Result and reference, each (1, 1, x), from a result and a reference."""
    return [labels[None] for labels in pair]


def test_pools_over_objects_and_keeps_one_value_per_volume():
    metric = SEGMetric()
    for pair in (ONE_OF_ONE, NONE_OF_THREE, NO_OBJECT):
        metric(*channel_first(pair))
    np.testing.assert_array_equal(metric.get_buffer(), [[1.0], [0.0], [np.nan]])
    assert metric.aggregate().item() == pytest.approx(1 / 4)


def test_volumes_of_different_shapes_come_as_lists():
    metric = SEGMetric()
    results, references = zip(ONE_OF_ONE, NONE_OF_THREE, strict=True)
    metric(list(results), list(references))
    assert metric.get_buffer().tolist() == [[1.0], [0.0]]


def test_without_any_object_the_aggregate_is_undefined():
    metric = SEGMetric()
    metric(*channel_first(NO_OBJECT))
    assert metric.aggregate().isnan()


def test_reset_forgets():
    metric = SEGMetric()
    metric(*channel_first(NONE_OF_THREE))
    metric.reset()
    assert metric.get_buffer() is None
    with pytest.raises(ValueError, match="nothing to aggregate"):
        metric.aggregate()


@settings(max_examples=60, deadline=None)
@given(label_pairs())
def test_equals_the_function_on_arrays(pair):
    reference, result = (MetaTensor(labels.astype(np.int32)[None, None]) for labels in pair)
    scores, num_objects = compute_seg(result, reference)
    np.testing.assert_array_equal(scores, [[seg(*pair)]])
    assert num_objects.item() == len(np.unique(pair[0][pair[0] > 0]))


def test_works_in_an_engine_that_saves_details():
    engine = Engine(lambda engine, batch: {"pred": batch[0][None], "label": batch[1][None]})
    handler = IgniteMetricHandler(
        metric_fn=SEGMetric(), output_transform=lambda out: (out["pred"], out["label"]), save_details=True
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
        (torch.ones(1, 2, 3, dtype=int), torch.ones(1, 2, 3, dtype=int), r"expected label images of one shape \(N, 1"),
        (torch.ones(1, 1, 3, dtype=int), torch.ones(1, 1, 4, dtype=int), r"y_pred \(1, 1, 3\), y \(1, 1, 4\)"),
        (torch.ones(1, 1, 3, dtype=int), None, "SEG needs a reference"),
    ],
)
def test_refuses_what_are_not_label_images(y_pred, y, message):
    with pytest.raises(ValueError, match=message):
        SEGMetric()(y_pred, y)
