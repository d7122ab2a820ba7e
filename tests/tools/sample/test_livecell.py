"""The sample is a small LIVECell that the converter takes without a word."""

import json
import shlex

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from skimage.draw import polygon2mask

from tools.__main__ import VERBS
from tools.command_line import run
from tools.sample.livecell import draw_files
from tools.sample.phase_contrast import CELL_TYPES, SHAPE, draw_field


def test_seed_decides_every_byte_and_each_split_has_images():
    first, again, other = (dict(draw_files(seed=seed, num_images=3)) for seed in (0, 0, 1))
    assert sorted(first) == [
        "annotations/livecell_coco_test.json",
        "annotations/livecell_coco_train.json",
        "annotations/livecell_coco_val.json",
        "images/livecell_test_images/Round_Phase_C1_1_00d00h00m_1.tif",
        "images/livecell_train_val_images/Round_Phase_A1_1_00d00h00m_1.tif",
        "images/livecell_train_val_images/Round_Phase_B1_1_00d00h00m_1.tif",
    ]
    assert first == again
    assert all(first[name] != other[name] for name in first)


@pytest.mark.parametrize("cell_type", CELL_TYPES)
def test_cells_have_a_bright_halo_and_the_light_is_uneven(cell_type):
    image, outlines = draw_field(np.random.default_rng(1), cell_type)
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
        _, outlines = draw_field(np.random.default_rng(2), cell_type)
        area[cell_type] = np.median([polygon2mask(SHAPE, outline[:, ::-1]).sum() for outline in outlines])
    assert 2 * area["Round"] < area["Spindle"] < 0.6 * area["Spread"]


def test_printed_command_converts_it_without_a_warning(tmp_path, capsys):
    source = tmp_path / "my cells"
    assert run(VERBS, ["sample", "swinunet_livecell", str(source), "--num_images", "4"]) == 0
    command = capsys.readouterr().out.split("next", 1)[1]
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "tools"]
    assert run(VERBS, words[3:]) == 0
    captured = capsys.readouterr()
    assert "WARNING" not in captured.err
    datalist = json.loads((tmp_path / "my cells_dataset/dataset.json").read_text())
    assert [(item["cell_type"], item["fold"]) for item in datalist["training"]] == [
        ("Round", 1),
        ("Round", 0),
        ("Spindle", 1),
    ]
    assert [item["cell_type"] for item in datalist["testing"]] == ["Round"]
    image = tifffile.imread(tmp_path / "my cells_dataset" / datalist["testing"][0]["image"])
    assert (image.shape, image.dtype) == (SHAPE, np.uint8)
