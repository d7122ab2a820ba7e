"""Every loss a user can choose falls towards the truth, also where there is no nucleus."""

import json

import pytest
import torch
from devonet_nsn.losses import UnifiedFocalLoss
from monai.bundle import ConfigParser

LOSSES = ["dice", "ce", "dicece", "unified_focal"]


@pytest.fixture(params=LOSSES)
def loss(request, bundle_root):
    config = json.loads((bundle_root / "configs" / "train.json").read_text())["losses"]
    assert sorted(config) == sorted(LOSSES)
    return ConfigParser(config[request.param]).get_parsed_content("")


def draw_truth(*, empty: bool = False) -> torch.Tensor:
    truth = torch.zeros(2, 1, 4, 8, 8)
    if not empty:
        truth[:, :, 1:3, 2:6, 2:6] = 1
    return truth


def logits_of(truth: torch.Tensor, confidence: float) -> torch.Tensor:
    return confidence * torch.cat([1 - 2 * truth, 2 * truth - 1], dim=1)


@pytest.mark.parametrize("empty", [False, True])
def test_loss_falls_towards_the_truth(loss, empty):
    truth = draw_truth(empty=empty)
    values = [loss(logits_of(truth, confidence), truth).item() for confidence in (-2, 0, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1]


@pytest.mark.parametrize("empty", [False, True])
def test_gradient_is_finite_and_points_to_the_truth(loss, empty):
    truth = draw_truth(empty=empty)
    logits = logits_of(truth, 0.5).requires_grad_()
    loss(logits, truth).backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad * logits_of(truth, 1.0)).sum() < 0


def test_unified_focal_is_nothing_where_the_network_is_right_and_sure():
    truth = draw_truth()
    assert UnifiedFocalLoss(to_onehot_y=True)(logits_of(truth, 20.0), truth).item() == pytest.approx(0, abs=1e-3)


def test_unified_focal_teaches_beyond_logits_of_one():
    truth = draw_truth()
    logits = logits_of(truth, -3.0).requires_grad_()  # wrong and sure: MONAI's own is flat
    UnifiedFocalLoss(to_onehot_y=True)(logits, truth).backward()
    assert logits.grad.abs().sum() > 0
