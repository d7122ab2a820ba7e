"""The patches of a training: annotated ones all, others as many as asked, read with room to turn."""

import json

import numpy as np
import pytest
import torch
from crypt_unet.common.errors import InputError
from crypt_unet.patches import ReadPatchIndexd, choose_patches, read_patch_index, training_patches


def index(num_annotated: int, num_empty: int) -> np.ndarray:
    flags = np.array([1] * num_annotated + [0] * num_empty)
    return np.column_stack([np.arange(len(flags)) * 256, np.zeros_like(flags), flags])


@pytest.mark.parametrize(
    ("num_annotated", "num_empty", "ratio", "num_kept"),
    [(10, 40, 1.0, 10), (10, 40, 0.5, 5), (10, 40, 0.0, 0), (10, 4, 1.0, 4), (0, 7, 1.0, 7), (3, 0, 1.0, 0)],
)
def test_patches_without_annotation_are_kept_at_a_ratio(num_annotated, num_empty, ratio, num_kept):
    chosen = choose_patches(index(num_annotated, num_empty), ratio)
    assert (chosen[:, 2].sum(), (chosen[:, 2] == 0).sum()) == (num_annotated, num_kept)
    assert len(np.unique(chosen, axis=0)) == len(chosen)


def test_kept_patches_are_spread_over_the_slide():
    kept = choose_patches(index(3, 90), 1.0)
    assert kept[kept[:, 2] == 0][:, 0].tolist() == [256 * row for row in (3, 47, 92)]


@pytest.fixture
def dataset(tmp_path):
    """Two slides of one fold each."""
    items = []
    for fold, name in enumerate("ab"):
        (tmp_path / f"{name}.tiff").touch()
        (tmp_path / f"{name}.csv").write_text("y,x,annotated\n0,0,1\n256,512,1\n512,0,0\n")
        items.append({"image": f"{name}.tiff", "label": f"{name}.tiff", "patches": f"{name}.csv", "fold": fold})
    (tmp_path / "dataset.json").write_text(json.dumps({"patch_size": 400, "training": items}))
    return tmp_path


def test_a_patch_is_read_around_its_centre_and_larger_than_it_is_cut(dataset):
    items = training_patches(dataset, fold=0, patch_size=(64, 96), downsample=4, unannotated_ratio=0)
    assert [item["region"] for item in items] == [(200, 200, 576), (456, 712, 576)]
    assert {item["image"] for item in items} == {str(dataset / "b.tiff")}


def test_without_a_fold_all_slides_are_trained_on(dataset):
    assert len(training_patches(dataset, fold="none", patch_size=(64, 64), downsample=1)) == 6


def test_a_dataset_without_patches(dataset):
    (dataset / "b.csv").write_text("y,x,annotated\n")
    with pytest.raises(InputError, match="no patch to train on"):
        training_patches(dataset, fold=0, patch_size=(64, 64), downsample=1)


@pytest.mark.parametrize("text", ["", "x,y\n1,2\n", "y,x,annotated\n1,2\n", "y,x,annotated\na,b,c\n"])
def test_malformed_index(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=r"a\.csv: no patch index .* convert the data again"):
        read_patch_index(tmp_path / "a.csv")


def test_evaluation_is_told_corners_and_size(dataset):
    read = ReadPatchIndexd("patches", dataset_dir=dataset)({"patches": str(dataset / "a.csv")})
    assert torch.equal(read["patches"], torch.tensor([[0, 0], [256, 512], [512, 0]]))
    assert read["patch_size"] == 400


def test_impossible_size_of_patches(dataset):
    content = json.loads((dataset / "dataset.json").read_text()) | {"patch_size": "large"}
    (dataset / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="patch_size is 'large', expected a positive whole number"):
        training_patches(dataset, fold=0, patch_size=(64, 64), downsample=1)
