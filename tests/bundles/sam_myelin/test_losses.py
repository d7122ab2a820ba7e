"""Every real prompt counts the same, and one that only fills up the batch not at all."""

import pytest
import torch
import torch.nn.functional as F
from sam_myelin.batching import pad_prompts
from sam_myelin.common.errors import InputError
from sam_myelin.losses import PADDING, PromptLoss

PRESENT = torch.tensor([[True, True, False], [True, False, False]])


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and soft targets of two images with two prompts and one, the rest padding."""
    targets = torch.rand(2, 3, 1, 8, 8)
    targets[~PRESENT] = PADDING
    return torch.randn(2, 3, 1, 8, 8), targets


@pytest.mark.parametrize("kind", ["dice", "dice_ce"])
@pytest.mark.parametrize("garbage", [0.0, 1e6, float("nan"), float("inf")])
def test_padding_contributes_exactly_nothing(batch, kind, garbage):
    logits, targets = batch
    logits[~PRESENT] = garbage
    logits.requires_grad_()
    loss = PromptLoss(kind)(logits, targets)
    loss.backward()
    alone = logits.detach()[PRESENT][None].requires_grad_()
    expected = PromptLoss(kind)(alone, targets[PRESENT][None])
    expected.backward()
    assert torch.equal(loss, expected)
    assert torch.equal(logits.grad[PRESENT], alone.grad[0]) and not logits.grad[~PRESENT].any()


def test_padding_can_be_told(batch):
    logits, targets = batch
    told = PromptLoss()(logits, targets.clamp(min=0), PRESENT)
    assert torch.equal(told, PromptLoss()(logits, targets))


def test_dice_is_the_mean_over_prompts():
    masks = torch.zeros(2, 1, 1, 8, 8)
    masks[..., :4] = 1
    logits = torch.stack([masks[0], 1 - masks[1]]) * 200 - 100
    loss = PromptLoss()(logits, masks)
    assert loss.item() == pytest.approx(0.5, abs=1e-4)  # one perfect, one with nothing in common
    entropy = F.binary_cross_entropy_with_logits(logits, masks)
    assert PromptLoss("dice_ce", 0.1)(logits, masks).item() == pytest.approx(loss.item() + 0.1 * entropy.item())


def test_perfect_soft_mask_has_no_loss():
    targets = torch.rand(1, 2, 1, 8, 8) * 0.98 + 0.01
    assert PromptLoss()(targets.logit(), targets).item() == pytest.approx(0, abs=1e-4)


def test_batch_of_padding_only():
    logits = torch.full((1, 2, 1, 4, 4), torch.nan, requires_grad=True)
    loss = PromptLoss()(logits, torch.full_like(logits, PADDING))
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


def test_wrong_use():
    with pytest.raises(InputError, match="--loss_kind focal: unknown; give dice or dice_ce"):
        PromptLoss("focal")
    with pytest.raises(ValueError, match=r"logits \(1, 2, 1, 4, 4\), targets \(1, 2, 1, 8, 8\)"):
        PromptLoss()(torch.zeros(1, 2, 1, 4, 4), torch.zeros(1, 2, 1, 8, 8))


def test_items_with_different_numbers_of_prompts():
    items = [
        {
            "embedding": torch.full((4, 2, 2), number),
            "boxes": torch.ones(number, 4),
            "points": torch.ones(number, 2, 2),
            "point_labels": torch.ones(number, 2, dtype=torch.int64),
            "targets": torch.ones(number, 1, 3, 3),
        }
        for number in (2, 0, 3)
    ]
    batch = pad_prompts(items)
    assert batch["present"].tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert {key: tuple(value.shape) for key, value in batch.items()} == {
        "present": (3, 3),
        "embedding": (3, 4, 2, 2),
        "boxes": (3, 3, 4),
        "points": (3, 3, 2, 2),
        "point_labels": (3, 3, 2),
        "targets": (3, 3, 1, 3, 3),
    }
    assert (batch["targets"][~batch["present"]] == PADDING).all() and (batch["targets"][batch["present"]] == 1).all()
    assert (batch["point_labels"][~batch["present"]] == -1).all()
    assert pad_prompts(items[1:2])["present"].tolist() == [[False]]


def test_item_that_does_not_fit_together():
    with pytest.raises(ValueError, match="numbers of prompts {'boxes': 2, 'targets': 1}"):
        pad_prompts([{"boxes": torch.ones(2, 4), "targets": torch.ones(1, 1, 3, 3)}])
