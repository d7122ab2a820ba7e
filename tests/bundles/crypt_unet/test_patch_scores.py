"""Patches are scored one by one, and end where the slide does."""

import numpy as np
import pytest
import torch
from crypt_unet.patch_scores import patch_dice_iou
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from monai.metrics import DiceMetric, MeanIoU

masks = npst.arrays(bool, (9, 11))
corners = npst.arrays(np.int64, st.tuples(st.integers(1, 6), st.just(2)), elements=st.integers(0, 8))


def test_scores_of_a_drawn_case():
    predicted = np.array([[1, 1, 0, 0], [0, 0, 0, 0]], np.uint8)
    truth = np.array([[0, 9, 0, 0], [0, 9, 0, 0]], np.uint16)
    dice, iou = patch_dice_iou(predicted, truth, np.array([[0, 0], [0, 2]]), 2)
    assert dice.tolist() == [0.5, 1.0]
    assert iou.tolist() == [pytest.approx(1 / 3), 1.0]


@settings(max_examples=40)
@given(masks, masks, corners, st.integers(1, 12))
def test_agrees_with_monai_on_the_cut_patches(predicted, truth, corners, patch_size):
    dice, iou = patch_dice_iou(predicted, truth, corners, patch_size)
    for index, (y, x) in enumerate(corners):
        pair = [torch.tensor(mask[y : y + patch_size, x : x + patch_size][None, None]) for mask in (predicted, truth)]
        assert dice[index] == pytest.approx(DiceMetric(ignore_empty=False)(*pair).item())
        assert iou[index] == pytest.approx(MeanIoU(ignore_empty=False)(*pair).item())


def test_no_patches_no_scores():
    dice, iou = patch_dice_iou(np.zeros((3, 3), bool), np.zeros((3, 3), bool), np.zeros((0, 2), int), 2)
    assert dice.shape == iou.shape == (0,)


@pytest.mark.parametrize("corner", [[-1, 0], [0, 4], [3, 0]])
def test_patch_outside_the_slide_is_refused(corner):
    with pytest.raises(ValueError, match=rf"patch at y, x = \[{corner[0]}, {corner[1]}\]: outside the image \(3, 4\)"):
        patch_dice_iou(np.zeros((3, 4), bool), np.zeros((3, 4), bool), np.array([[0, 0], corner]), 2)


def test_masks_of_other_shapes_and_empty_patches_are_refused():
    with pytest.raises(ValueError, match=r"predicted \(3, 4\) and truth \(4, 3\)"):
        patch_dice_iou(np.zeros((3, 4)), np.zeros((4, 3)), np.array([[0, 0]]), 2)
    with pytest.raises(ValueError, match="patch_size 0: expected a number of pixels"):
        patch_dice_iou(np.zeros((3, 4)), np.zeros((3, 4)), np.array([[0, 0]]), 0)
