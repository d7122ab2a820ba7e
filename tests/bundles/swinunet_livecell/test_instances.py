"""Cells that touch come apart where their depth dips, and no pixel of the mask gets lost."""

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation
from skimage.draw import disk, ellipse, line
from skimage.measure import label
from swinunet_livecell.instances import FindCellsd, find_cells, how_sure
from swinunet_livecell.targets import cell_targets

SHAPE = (120, 160)


def draw_disks(*centres: tuple[int, int], radius: int = 15, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Labels of disks; where two overlap, the nearer centre's."""
    distance = np.stack([np.hypot(*(np.indices(shape) - np.reshape(centre, (2, 1, 1)))) for centre in centres])
    return np.where(distance.min(axis=0) < radius, distance.argmin(axis=0) + 1, 0)


def known(labels: np.ndarray) -> np.ndarray:
    """What a network that knows the truth tells of it."""
    return cell_targets(labels)


def same_partition(found: np.ndarray, labels: np.ndarray) -> float:
    """Part of the pixels whose cell is the one that most of their true cell is in, if cells and truths are as many."""
    assert found.max() == len(np.unique(labels[labels > 0]))
    best = {number: np.bincount(found[labels == number]).argmax() for number in np.unique(labels[labels > 0])}
    return np.mean([found[pixel] == best[labels[pixel]] for pixel in zip(*np.nonzero(labels), strict=True)])


def test_two_disks_that_overlap_come_apart_half_way():
    labels = draw_disks((60, 50), (60, 70))
    cells = find_cells(known(labels))
    assert cells.dtype == np.int32
    assert same_partition(cells, labels) > 0.97


def test_a_small_cell_comes_off_a_large_one():
    labels = draw_disks((60, 50), radius=30)
    labels[disk((60, 82), 6)] = 2
    assert same_partition(find_cells(known(labels)), labels) > 0.97


def test_chain_of_disks_has_as_many_cells_as_disks():
    labels = draw_disks(*[(60, 30 + 25 * number) for number in range(4)], (36, 55))
    assert same_partition(find_cells(known(labels)), labels) > 0.95


def test_cells_side_by_side_along_their_length_come_apart():
    labels = np.zeros(SHAPE, int)
    labels[40:55, 20:140], labels[55:70, 20:140] = 1, 2
    assert same_partition(find_cells(known(labels)), labels) > 0.97


def test_a_process_stays_with_its_cell_and_so_do_two_swellings():
    labels = np.zeros(SHAPE, int)
    labels[ellipse(50, 80, 14, 60)] = 1
    process = np.zeros(SHAPE, bool)
    process[line(50, 25, 105, 8)] = True
    labels[binary_dilation(process, iterations=2)] = 1
    labels[disk((108, 8), 5)] = 1
    assert find_cells(known(labels), min_dip=0.35).max() == 1


def test_the_border_cuts_where_depth_does_not():
    probability = np.zeros((3, 40, 60))
    probability[:2, 10:30, 10:50] = 1
    assert find_cells(probability).max() == 1
    probability[2, :, 28:32] = 0.9
    assert find_cells(probability).max() == 2


@pytest.mark.parametrize("seed", range(3))
def test_cells_are_the_mask_and_never_span_two_parts(seed):
    rng = np.random.default_rng(seed)
    probability = rng.random((3, *SHAPE)).round(1)
    probability[0] = draw_disks(*rng.integers(0, 120, (25, 2)).tolist(), radius=8) > 0
    cells, parts = find_cells(probability, min_area=0), label(probability[0] > 0, connectivity=1)
    np.testing.assert_array_equal(cells > 0, probability[0] > 0)
    assert np.array_equal(np.unique(cells), np.arange(cells.max() + 1))
    for cell in range(1, cells.max() + 1):
        assert len(np.unique(parts[cells == cell])) == 1


def test_small_cells_are_dropped_and_numbers_have_no_gaps():
    labels = draw_disks((30, 30), (90, 120))
    labels[5:7, 5:7] = 3
    cells = find_cells(known(labels), min_area=5)
    assert cells[5, 5] == 0 and cells.max() == 2


def test_a_part_without_any_depth_is_a_cell():
    probability = known(draw_disks((30, 30)))
    probability[0, 80:90, 80:90] = 1
    cells = find_cells(probability)
    assert cells.max() == 2 and (cells[80:90, 80:90] == cells[85, 85]).all() and cells[85, 85] > 0


def test_probability_is_cut_at_the_threshold():
    probability = known(draw_disks((30, 30), (90, 120)))
    probability[0, 60:] *= 0.3
    assert find_cells(probability).max() == 1
    np.testing.assert_array_equal(find_cells(probability, threshold=0.3) > 0, probability[0] >= 0.3)


@pytest.mark.parametrize("shape", [(5, 7), (1, 1)])
def test_nothing_is_nothing_and_everything_is_one_cell(shape):
    empty = find_cells(np.zeros((3, *shape), np.float32))
    assert (empty.dtype, empty.shape, empty.any()) == (np.int32, shape, False)
    everything = np.zeros((3, *shape), np.float32)
    everything[:2] = 1
    np.testing.assert_array_equal(find_cells(everything, min_area=1), np.ones(shape))


def test_memory_order_does_not_matter():
    probability = known(draw_disks((60, 50), (60, 76), (20, 20)))
    np.testing.assert_array_equal(find_cells(np.asfortranarray(probability)), find_cells(probability))


def test_how_sure_a_cell_is_is_its_mean_probability_times_its_largest_depth():
    probability = np.array([[[0.5, 0.7, 0.0, 0.9]], [[0.2, 0.5, 1.0, 1.0]], [[0.0] * 4]])
    np.testing.assert_allclose(how_sure(probability, np.array([[1, 1, 0, 2]])), [0.3, 0.9])
    assert how_sure(probability, np.zeros((1, 4), int)).shape == (0,)


def test_dictionary_form_adds_cells_and_scores():
    probability = torch.from_numpy(known(draw_disks((60, 50), (60, 70))))
    item = FindCellsd("pred")({"pred": probability})
    np.testing.assert_array_equal(item["cells"][0], find_cells(probability.numpy()))
    assert item["cells"].dtype == torch.int32
    assert item["scores"].tolist() == [1, 1]
    assert FindCellsd("pred", min_area=10**6)({"pred": probability})["scores"].shape == (0,)


@pytest.mark.parametrize(("min_area", "num_cells"), [(20, 2), (21, 1)])
def test_a_cell_of_the_very_area_is_kept(min_area, num_cells):
    labels = np.zeros((20, 40), int)
    labels[2:6, 2:7], labels[8:18, 20:30] = 1, 2  # of 20 and of 100 pixels
    assert find_cells(known(labels), min_area=min_area).max() == num_cells


@pytest.mark.parametrize(("min_dip", "num_cells"), [(0.1, 2), (0.39, 2), (0.41, 1)])
def test_depth_is_cut_where_it_dips_by_as_much(min_dip, num_cells):
    """Two wide summits of 1 and, between them, a valley of 0.6."""
    probability = np.zeros((3, 20, 90))
    probability[:2, :, :] = 1
    probability[1, :, 40:50] = 0.6
    assert find_cells(probability, min_dip=min_dip).max() == num_cells
