"""Aggregates pool objects and patches over slides; the buffers, and so MetricsSaver's files, keep one row per slide."""

import numpy as np
import pytest
import torch
from crypt_unet.metrics import ObjectF1Metric, PatchMetric

# two crypts, both found
FOUND = (torch.tensor([[[1, 1, 0, 1]]]), torch.tensor([[[4, 4, 0, 9]]]))
# one component where there are three crypts
MISSED = (torch.tensor([[[1, 1, 1, 0], [0, 0, 0, 1]]]), torch.tensor([[[1, 2, 3, 0], [0, 0, 0, 0]]]))
NOTHING = (torch.zeros(1, 1, 4, dtype=torch.int32), torch.zeros(1, 1, 4, dtype=torch.int32))


def slide(mask, labels, corners, patch_size=2):
    """An item as it comes out of the evaluator."""
    return {"pred": mask, "label": labels, "patches": torch.tensor(corners).reshape(-1, 2), "patch_size": patch_size}


def call(metric, items):
    metric([item["pred"] for item in items], items)
    return metric


def test_f1_pools_over_objects_and_keeps_one_value_per_slide():
    metric = ObjectF1Metric()
    metric(*map(list, zip(FOUND, MISSED, NOTHING, strict=True)))
    np.testing.assert_array_equal(metric.get_buffer(), [[1.0], [0.0], [np.nan]])
    assert metric.aggregate().item() == pytest.approx(2 * 2 / (3 + 5))


def test_predicted_pixels_that_touch_at_a_corner_are_one_object():
    diagonal = torch.tensor([[[[1, 0], [0, 1]]]])
    metric = ObjectF1Metric()
    metric(diagonal.to(torch.uint8), diagonal * 3)
    assert metric.aggregate().item() == 1
    metric(diagonal.to(torch.uint8), torch.tensor([[[[1, 0], [0, 2]]]]))
    assert metric.get_buffer().tolist() == [[1.0], [0.0]]


def test_f1_refuses_labels_of_another_shape_or_kind():
    with pytest.raises(ValueError, match=r"y_pred \(1, 1, 4\), y \(1, 2, 4\): expected masks and label images"):
        ObjectF1Metric()(FOUND[0][None], MISSED[1][None])
    with pytest.raises(ValueError, match="labels are float32, expected integers"):
        ObjectF1Metric()(FOUND[0][None], FOUND[1][None].float())


@pytest.mark.parametrize(("kind", "half"), [("iou", 1 / 2), ("dice", 2 / 3)])
def test_patches_of_all_slides_weigh_the_same(kind, half):
    mask, labels = torch.tensor([[[1, 1, 0, 0]]]), torch.tensor([[[0, 7, 0, 0]]])
    one, three = slide(mask, labels, [[0, 0]]), slide(mask, labels, [[0, 1], [0, 2], [0, 2]])
    metric = call(PatchMetric(kind), [one, three])
    assert metric.get_buffer()[:, 0].tolist() == pytest.approx([half, 1])
    assert metric.aggregate().item() == pytest.approx((half + 3) / 4)


def test_slide_without_patches_is_undefined():
    metric = call(PatchMetric("dice"), [slide(*FOUND, [])])
    assert metric.get_buffer().isnan().all() and metric.aggregate().isnan()


def test_unknown_kind_and_a_call_without_patches_are_refused():
    with pytest.raises(ValueError, match="kind 'f1': expected 'dice' or 'iou'"):
        PatchMetric("f1")
    with pytest.raises(ValueError, match="list of masks and a list of mappings"):
        PatchMetric("iou")(FOUND[0][None], FOUND[1][None])


@pytest.mark.parametrize("metric", [ObjectF1Metric(), PatchMetric("dice")])
def test_nothing_to_aggregate(metric):
    assert metric.get_buffer() is None
    with pytest.raises(ValueError, match="nothing to aggregate"):
        metric.aggregate()
