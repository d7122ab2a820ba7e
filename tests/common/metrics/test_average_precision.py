"""The MONAI metric pools over the objects of all images and keeps one value per image."""

import numpy as np
import pytest
import torch

from common.metrics.average_precision import AveragePrecisionMetric

TRUTH = torch.tensor([[[1, 1, 0, 2, 2, 0]]])
FIRST_ONLY = torch.tensor([[[5, 5, 0, 0, 0, 0]]])
BESIDE = torch.tensor([[[0, 0, 3, 0, 0, 0]]])
NOTHING = torch.zeros_like(TRUTH)


def add(metric, result, truth, *scores):
    metric([result], [{"label": truth, "scores": torch.tensor(scores)}])


def test_pools_over_objects_and_keeps_one_value_per_image():
    metric = AveragePrecisionMetric([0.5])
    add(metric, TRUTH, TRUTH, 0.9, 0.4)
    add(metric, FIRST_ONLY, TRUTH, 0.8)
    add(metric, NOTHING, TRUTH)
    add(metric, BESIDE, NOTHING, 0.1)
    half = 51 / 101  # recall 0.5 is reached at precision 1
    np.testing.assert_allclose(metric.get_buffer(), [[1], [half], [0], [np.nan]], rtol=1e-6)
    assert metric.aggregate().item() == pytest.approx(51 / 101), "3 of 6 are found, before the wrong one"
    metric.reset()
    assert metric.get_buffer() is None
    with pytest.raises(ValueError, match="nothing to aggregate"):
        metric.aggregate()


def test_the_mean_over_least_ious():
    metric = AveragePrecisionMetric()
    add(metric, torch.tensor([[[1, 1, 1, 1, 1, 1, 0, 0]]]), torch.tensor([[[1] * 8]]), 1.0)
    assert metric.aggregate().item() == pytest.approx(6 / 10), "IoU 0.75 is enough for 0.5, 0.55, ... 0.75"
