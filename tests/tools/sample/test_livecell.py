"""The sample is a small LIVECell that the converter takes without a word."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import polygon2mask

from tools.sample.phase_contrast import CELL_TYPES, SHAPE, crowded, draw_field, place_cells


@pytest.mark.parametrize("cell_type", CELL_TYPES)
def test_cells_have_a_bright_halo_and_the_light_is_uneven(cell_type):
    image, outlines = draw_field(np.random.default_rng(1), CELL_TYPES[cell_type])
    assert (image.shape, image.dtype) == (SHAPE, np.uint8)
    kind = CELL_TYPES[cell_type]
    assert len(outlines) >= kind.num_cells[0]
    masks = [polygon2mask(SHAPE, outline[:, ::-1] - 0.5) for outline in outlines]
    cells = np.any(masks, axis=0)
    assert sum(mask.sum() for mask in masks) < 1.1 * cells.sum()
    outward = ndimage.distance_transform_edt(~cells)
    background = np.median(image[outward > 12])
    assert image[(outward > 0) & (outward < 3)].mean() > background + 12
    assert abs(image[cells].mean() - background) < 45
    far = np.where(outward > 12, image, np.nan).astype(float)
    blocks = [np.nanmean(block) for row in np.array_split(far, 4) for block in np.array_split(row, 4, axis=1)]
    assert np.nanmax(blocks) - np.nanmin(blocks) > 8


def test_types_differ_in_size():
    area = {}
    for cell_type in CELL_TYPES:
        _, outlines = draw_field(np.random.default_rng(2), CELL_TYPES[cell_type])
        area[cell_type] = np.median([polygon2mask(SHAPE, outline[:, ::-1]).sum() for outline in outlines])
    assert 2 * area["Round"] < area["Spindle"] < 0.6 * area["Spread"]


@pytest.mark.parametrize("cell_type", CELL_TYPES)
def test_many_cells_are_small_enough_to_fit(cell_type):
    outlines, labels = place_cells(np.random.default_rng(3), crowded(CELL_TYPES[cell_type], 300))
    assert len(outlines) == 300 and 0.05 < np.mean(labels > 0) < 0.5
