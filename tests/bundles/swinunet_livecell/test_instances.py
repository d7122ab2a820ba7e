"""Cells that touch come apart, and no pixel of the mask gets lost."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from skimage.draw import disk, ellipse
from skimage.measure import label
from swinunet_livecell.instances import split_cells


def draw_disks(*centres: tuple[int, int], radius: int = 15, shape: tuple[int, int] = (120, 160)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for centre in centres:
        mask[disk(centre, radius, shape=shape)] = True
    return mask


def test_two_disks_that_overlap_a_little_are_cut_half_way():
    mask = draw_disks((60, 50), (60, 76))
    cells = split_cells(mask)
    assert (cells.dtype, cells.max()) == (np.int32, 2)
    left, right = cells[60, 50], cells[60, 76]
    rows, columns = np.nonzero(mask)
    oracle = np.zeros(mask.shape, int)
    oracle[rows, columns] = np.where(np.hypot(rows - 60, columns - 50) < np.hypot(rows - 60, columns - 76), left, right)
    assert np.mean(cells[mask] == oracle[mask]) > 0.98


def test_chain_of_disks_has_as_many_cells_as_disks():
    centres = [(60, 30 + 25 * number) for number in range(4)] + [(36, 55)]
    cells = split_cells(draw_disks(*centres))
    assert cells.max() == 5
    assert len({cells[centre] for centre in centres}) == 5


def draw_spindle() -> np.ndarray:
    mask = np.zeros((100, 160), bool)
    mask[ellipse(50, 80, 14, 60)] = True
    return mask


def test_long_cell_stays_in_one_piece():
    assert split_cells(draw_spindle()).max() == 1


def test_long_cell_with_a_ragged_border_stays_in_one_piece():
    spindle = draw_spindle()
    border = np.maximum(distance_transform_edt(spindle), distance_transform_edt(~spindle)) <= 2
    ragged = spindle ^ (border & (np.random.default_rng(0).random(spindle.shape) < 0.3))
    assert split_cells(ragged).max() == 1


def test_spindles_end_to_end_come_apart():
    mask = draw_spindle()
    both = np.concatenate([mask[:, :136], mask[:, 24:]], axis=1)
    assert label(both).max() == 1
    assert split_cells(both).max() == 2


@pytest.mark.parametrize("seed", range(3))
def test_cells_are_the_mask_and_never_span_two_parts(seed):
    rng = np.random.default_rng(seed)
    mask = draw_disks(*rng.integers(0, 120, (25, 2)).tolist(), radius=8) | (rng.random((120, 160)) < 0.01)
    cells, parts = split_cells(mask, min_area=0), label(mask, connectivity=1)
    np.testing.assert_array_equal(cells > 0, mask)
    assert np.array_equal(np.unique(cells), np.arange(cells.max() + 1))
    for cell in range(1, cells.max() + 1):
        assert len(np.unique(parts[cells == cell])) == 1


def test_small_cells_are_dropped_and_numbers_have_no_gaps():
    mask = draw_disks((30, 30), (90, 120))
    mask[5:7, 5:7] = True
    cells = split_cells(mask, min_area=5)
    assert cells[5, 5] == 0 and cells.max() == 2


def test_probability_is_cut_at_the_threshold():
    probability = 0.3 * draw_disks((30, 30)) + 0.8 * draw_disks((90, 120))
    assert split_cells(probability).max() == 1
    np.testing.assert_array_equal(split_cells(probability, threshold=0.3) > 0, probability >= 0.3)


@pytest.mark.parametrize("shape", [(5, 7), (1, 1)])
def test_nothing_is_nothing_and_everything_is_one_cell(shape):
    empty = split_cells(np.zeros(shape, np.float32))
    assert (empty.dtype, empty.shape, empty.any()) == (np.int32, shape, False)
    np.testing.assert_array_equal(split_cells(np.ones(shape, np.float32), min_area=1), np.ones(shape))


def test_memory_order_does_not_matter():
    mask = draw_disks((60, 50), (60, 76), (20, 20))
    np.testing.assert_array_equal(split_cells(np.asfortranarray(mask)), split_cells(mask))
    np.testing.assert_array_equal(split_cells(mask.T).T > 0, mask)


def test_neck_has_to_be_narrow_enough():
    mask = draw_disks((60, 50), (60, 76))
    assert split_cells(mask, min_depth=20).max() == 1
    assert split_cells(mask, min_distance=30).max() == 1


@pytest.mark.parametrize(("min_area", "num_cells"), [(20, 2), (21, 1)])
def test_a_cell_of_the_very_area_is_kept(min_area, num_cells):
    mask = np.zeros((20, 40), bool)
    mask[2:6, 2:7], mask[8:18, 20:30] = True, True  # of 20 and of 100 pixels
    assert split_cells(mask, min_area=min_area).max() == num_cells


@pytest.mark.parametrize(("min_depth", "num_cells"), [(2, 2), (4, 2), (7, 1)])
def test_a_neck_is_cut_where_it_is_narrower_by_the_depth(min_depth, num_cells):
    """Two disks of radius 15, joined where they are 9 wide on each side: narrower by 6."""
    mask = draw_disks((60, 50), (60, 74))
    assert split_cells(mask, min_depth=min_depth).max() == num_cells
