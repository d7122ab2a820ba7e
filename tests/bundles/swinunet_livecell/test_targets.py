"""Every cell has one summit, however small; borders are where two cells are near."""

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from swinunet_livecell.targets import MakeTargetsd, cell_targets


def draw(*boxes, shape=(40, 60)) -> np.ndarray:
    labels = np.zeros(shape, np.int32)
    for label, (rows, columns) in enumerate(boxes, start=1):
        labels[slice(*rows), slice(*columns)] = label
    return labels


APART = draw(((5, 20), (5, 14)), ((25, 28), (40, 43)))
TOUCHING = draw(((10, 30), (10, 25)), ((10, 30), (25, 45)))


def test_first_channel_is_the_mask():
    np.testing.assert_array_equal(cell_targets(TOUCHING)[0], TOUCHING > 0)


@pytest.mark.parametrize("labels", [APART, TOUCHING, APART[::-1] + 5 * (APART[::-1] > 0)])
def test_depth_is_the_distance_over_the_largest_of_the_cell(labels):
    depth = cell_targets(labels)[1]
    assert not depth[labels == 0].any()
    for label in np.unique(labels[labels > 0]):
        distance = distance_transform_edt(np.pad(labels == label, 1))[1:-1, 1:-1]
        inside = labels == label
        np.testing.assert_allclose(depth[inside], (distance / distance.max())[inside], rtol=1e-5)
        assert depth[inside].max() == 1


def test_a_cell_that_the_image_cuts_is_deepest_at_its_edge():
    depth = cell_targets(draw(((0, 10), (20, 30))))[1]
    assert depth[0, 24:26].tolist() == [1, 1]
    assert depth[0, 20] < 0.5


def test_a_cell_that_fills_the_image():
    targets = cell_targets(np.full((4, 5), 3))
    assert (targets[:2] == 1).all() and not targets[2].any()


def test_borders_lie_on_both_sides_of_where_cells_touch_and_in_narrow_gaps():
    border = cell_targets(TOUCHING, border_px=3)[2]
    assert border[20].nonzero()[0].tolist() == list(range(22, 28))
    gap = draw(((10, 30), (10, 25)), ((10, 30), (29, 45)))
    assert cell_targets(gap, border_px=3)[2][20].nonzero()[0].tolist() == [26, 27]
    assert not cell_targets(APART)[2].any()


def test_nothing_and_labels_with_gaps():
    assert not cell_targets(np.zeros((5, 5), int)).any()
    np.testing.assert_array_equal(cell_targets(np.where(TOUCHING == 2, 70000, TOUCHING)), cell_targets(TOUCHING))


def test_dictionary_form():
    item = MakeTargetsd("label", border_px=2)({"label": torch.from_numpy(TOUCHING)[None], "image": 1})
    np.testing.assert_array_equal(item["label"], cell_targets(TOUCHING, 2))
    assert item["label"].dtype == torch.float32 and item["image"] == 1
