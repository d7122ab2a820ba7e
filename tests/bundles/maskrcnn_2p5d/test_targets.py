"""Targets pair every mask with its box; stacks repeat the last slice at the ends."""

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from maskrcnn_2p5d.common.errors import InputError
from maskrcnn_2p5d.targets import slice_targets, stack_indices

label_images = npst.arrays(np.int32, npst.array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.integers(0, 4))


def test_drawn_case():
    labels = np.array([[0, 7, 7, 0], [0, 0, 7, 0], [3, 0, 0, 0]])
    targets = slice_targets(labels)
    assert targets["boxes"].tolist() == [[0, 2, 1, 3], [1, 0, 3, 2]]
    assert targets["labels"].tolist() == [1, 1]
    assert torch.equal(targets["masks"], torch.from_numpy(np.stack([labels == 3, labels == 7]).astype(np.uint8)))


@given(label_images, st.integers(1, 5))
def test_agrees_with_one_object_after_the_other(labels, min_area_px):
    targets = slice_targets(labels, min_area_px=min_area_px)
    masks = [labels == name for name in range(1, 5) if (labels == name).sum() >= min_area_px]
    assert len(targets["boxes"]) == len(targets["labels"]) == len(targets["masks"]) == len(masks)
    for box, mask, expected in zip(targets["boxes"], targets["masks"], masks, strict=True):
        rows, columns = np.nonzero(expected)
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (1, 1)])
def test_an_object_of_a_single_row_has_a_box(shape):
    labels = np.zeros((8, 8), int)
    labels[2 : 2 + shape[0], 3 : 3 + shape[1]] = 1
    assert slice_targets(labels)["boxes"].tolist() == [[3, 2, 3 + shape[1], 2 + shape[0]]]


@pytest.mark.parametrize("labels", [np.zeros((4, 5), np.uint16), np.eye(4, 5, dtype=int)])
def test_no_object(labels):
    targets = slice_targets(labels, min_area_px=5)
    assert (targets["boxes"].shape, targets["boxes"].dtype) == ((0, 4), torch.float32)
    assert (targets["labels"].shape, targets["labels"].dtype) == ((0,), torch.int64)
    assert (targets["masks"].shape, targets["masks"].dtype) == ((0, 4, 5), torch.uint8)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32, np.float32])
def test_names_above_65535(dtype):
    labels = np.zeros((4, 4), dtype)
    labels[0, 0], labels[3, 3] = 65_536 + 5, 5
    assert slice_targets(labels)["boxes"].tolist() == [[3, 3, 4, 4], [0, 0, 1, 1]]


def test_volumes_are_not_slices():
    with pytest.raises(InputError, match=r"shape \(1, 4, 4\).*one slice \(Y, X\)"):
        slice_targets(np.zeros((1, 4, 4), int))


def test_the_last_slice_is_repeated():
    assert stack_indices(torch.tensor([0, 2, 4]), 5, 5).tolist() == [[0, 0, 0, 1, 2], [0, 1, 2, 3, 4], [2, 3, 4, 4, 4]]


@pytest.mark.parametrize("depth", [1, 2])
def test_volumes_flatter_than_a_stack_are_repeated(depth):
    assert stack_indices(torch.tensor([0]), depth, 5).tolist() == [[0, 0, 0, depth - 1, depth - 1]]


@given(st.integers(1, 6), st.data(), st.sampled_from([1, 3, 5]))
def test_stacks_are_padded_volumes(depth, data, num_slices):
    centre = data.draw(st.integers(0, depth - 1))
    padded = np.pad(np.arange(depth), num_slices // 2, mode="edge")
    (stack,) = stack_indices(torch.tensor([centre]), depth, num_slices).tolist()
    assert stack == padded[centre : centre + num_slices].tolist()


@pytest.mark.parametrize("num_slices", [0, -1, 2, 4])
def test_stacks_have_a_middle(num_slices):
    with pytest.raises(InputError, match=f"--num_slices {num_slices}: a stack needs a slice in the middle"):
        stack_indices(torch.tensor([0]), 5, num_slices)
