"""The loss is that of the pixels that are known, and of no others."""

import pytest
import torch
from monai.losses import DiceLoss
from torch.nn.functional import binary_cross_entropy_with_logits

from common.training.losses import KnownDiceCELoss


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 2, 6, 8, generator=generator), (torch.rand(3, 2, 6, 8, generator=generator) > 0.6).float()


def test_where_everything_is_known_it_is_the_sum_of_monais_dice_and_torchs_cross_entropy():
    logits, targets = batch()
    dice = DiceLoss(sigmoid=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)(logits, targets)
    expected = dice + binary_cross_entropy_with_logits(logits, targets)
    torch.testing.assert_close(KnownDiceCELoss()(logits, targets), expected)


def test_pixels_that_are_not_known_might_as_well_be_cut_off():
    logits, targets = batch()
    masked = targets.clone()
    masked[..., 5:] = -1
    expected = KnownDiceCELoss()(logits[..., :5], targets[..., :5])
    torch.testing.assert_close(KnownDiceCELoss()(logits, masked), expected)


def test_they_have_no_gradient():
    logits, targets = batch()
    targets[:, :, 2] = -1
    logits.requires_grad_()
    KnownDiceCELoss()(logits, targets).backward()
    assert not logits.grad[:, :, 2].any()
    assert logits.grad[:, :, 3].all()


def test_perfect_logits_cost_nothing_and_neither_does_a_black_batch():
    _, targets = batch()
    assert KnownDiceCELoss()(100 * (2 * targets - 1), targets) == pytest.approx(0, abs=1e-6)
    assert KnownDiceCELoss()(torch.randn(1, 2, 4, 4), -torch.ones(1, 2, 4, 4)) == 0


def test_amounts_are_learned_as_they_are_where_dice_leaves_them_alone():
    amounts = torch.full((1, 2, 3, 4), 0.3)
    amounts[:, 0] = 1
    logits = torch.zeros(1, 2, 3, 4, requires_grad=True)
    for _ in range(200):
        (gradient,) = torch.autograd.grad(KnownDiceCELoss(dice_channels=[0])(logits, amounts), logits)
        logits = (logits - 24 * gradient).detach().requires_grad_()
    torch.testing.assert_close(logits[:, 1].sigmoid(), amounts[:, 1], atol=1e-3, rtol=0)
