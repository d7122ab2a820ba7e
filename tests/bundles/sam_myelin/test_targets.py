"""Targets are exact areas: nothing of a thin sheath is lost, and nothing is in the padding."""

import numpy as np
import pytest
from sam_myelin.common.errors import InputError
from sam_myelin.normalisation import fit_to
from sam_myelin.prompts import boxes_of
from sam_myelin.targets import PARTS, area_weights, part_of, soft_targets


def test_parts(fibres):
    labels, axon = fibres
    myelin, inside, whole = (part_of(labels == 7, axon, part) for part in PARTS)
    assert not (myelin & inside).any() and ((myelin | inside) == whole).all() and whole.sum() == 26 * 30
    with pytest.raises(InputError, match="--target sheath: unknown; give myelin, axon, fibre"):
        part_of(whole, axon, "sheath")


@pytest.mark.parametrize("part", PARTS)
def test_whole_cells_are_averaged(fibres, part):
    labels, axon = fibres
    ids, boxes = boxes_of(labels)
    targets = soft_targets(labels, axon, ids, boxes, fit_to(labels.shape, 64), part=part)
    assert targets.shape == (3, 1, 16, 16) and targets.dtype == np.float32
    for label, target in zip(ids, targets[:, 0], strict=True):
        mask = np.zeros((64, 64))
        mask[:48] = part_of(labels == label, axon, part)
        np.testing.assert_allclose(target, mask.reshape(16, 4, 16, 4).mean(axis=(1, 3)), atol=1e-6)


@pytest.mark.parametrize("size", [16, 60, 256])
def test_area_is_kept_at_any_scale(fibres, size):
    labels, axon = fibres
    ids, boxes = boxes_of(labels)
    fit = fit_to(labels.shape, size)
    targets = soft_targets(labels, axon, ids, boxes, fit)
    areas = targets.sum(axis=(1, 2, 3)) * 16 / np.prod(fit.scale)  # a cell is 4 x 4 pixels of the input
    np.testing.assert_allclose(areas, [np.count_nonzero((labels == label) & ~axon) for label in ids], rtol=1e-4)
    assert targets.min() >= 0 and targets.max() <= 1 + 1e-6


def test_cells_in_the_padding_are_empty():
    weights = area_weights(length=6, resized=12, size=16, num_cells=4)  # 2 cells of input per pixel, 4 per cell
    np.testing.assert_allclose(weights[:3], np.kron(np.eye(3), [[0.5, 0.5]]))
    assert not weights[3].any()


def test_no_fibres():
    empty = np.zeros((8, 8), int)
    assert soft_targets(empty, empty > 0, *boxes_of(empty), fit_to((8, 8), 16)).shape == (0, 1, 4, 4)
