"""DataAnalyzer sees volumes and planes, and instances as one foreground."""

import json
import os

import nibabel as nib
import numpy as np
import pytest
import yaml
from PIL import Image

from common.errors import InputError
from tools.runs.crossval.datastats import ReadCase, summarise_datastats, write_datastats
from tools.runs.folds import read_separate_folds


@pytest.fixture
def volumes(tmp_path):
    """Two volumes with seven and nine of ten planes covered by two objects each, a third of another shape."""
    items = []
    for index, size in enumerate((10, 10, 12)):
        image = np.arange(size * 8 * 6, dtype=np.uint16).reshape(size, 8, 6)
        label = np.zeros_like(image)
        label[:3], label[5:7] = 7, 9
        for name, array in (("image", image), ("label", label)):
            nib.save(nib.Nifti1Image(array, np.diag([0.5, 0.5, 2, 1])), tmp_path / f"{name}{index}.nii.gz")
        items.append({"image": f"image{index}.nii.gz", "label": f"label{index}.nii.gz", "fold": index % 2})
    (tmp_path / "dataset.json").write_text(json.dumps({"training": items}))
    return tmp_path


@pytest.fixture
def planes(tmp_path):
    """Two RGB planes, a tenth of which are objects 1 to 5."""
    items = []
    for index in range(2):
        label = np.zeros((20, 10), np.uint16)
        label[:2] = np.repeat(np.arange(1, 6), 2)
        Image.fromarray(np.full((20, 10, 3), 50 * index + 9, np.uint8)).save(tmp_path / f"image{index}.png")
        Image.fromarray(label).save(tmp_path / f"label{index}.png")
        items.append({"image": f"image{index}.png", "label": f"label{index}.png", "fold": index})
    (tmp_path / "dataset.json").write_text(json.dumps({"training": items}))
    return tmp_path


def test_volumes(volumes, tmp_path):
    content = write_datastats(read_separate_folds(volumes), tmp_path / "datastats.yaml")
    assert content["stats_summary"]["label_stats"]["labels"] == [0, 1]  # and not 0, 7, 9
    found = summarise_datastats(content)
    assert found["cases"] == 3
    assert found["shape"] == [[10, 8, 6], [10, 8, 6], [12, 8, 6]]
    assert found["spacing"] == [[0.5, 0.5, 2.0]] * 3
    assert found["foreground_share"] == pytest.approx((0.5 + 0.5 + 5 / 12) / 3)
    assert list(found["intensity"]) == ["mean", *(f"percentile_{name}" for name in ("00_5", "10_0", "90_0", "99_5"))]
    by_case = yaml.safe_load((tmp_path / "datastats_by_case.yaml").read_text())["stats_by_cases"]
    assert [case["image_filepath"] for case in by_case] == [str(volumes / f"image{i}.nii.gz") for i in range(3)]


def test_planes_in_colour(planes, tmp_path):
    content = write_datastats(read_separate_folds(planes), tmp_path / "datastats.yaml")
    assert content["stats_summary"]["label_stats"]["labels"] == [0, 1]
    found = summarise_datastats(content)
    assert found["shape"][0] == [20, 10] and found["spacing"][0] == [1, 1]
    assert found["foreground_share"] == pytest.approx(0.1)
    assert found["intensity"]["mean"] == pytest.approx(34)


def test_it_is_kept_until_the_datalist_is_newer(planes, tmp_path):
    path = tmp_path / "datastats.yaml"
    path.write_text("kept: 1\n")
    assert write_datastats(read_separate_folds(planes), path) == {"kept": 1}
    later = path.stat().st_mtime + 10
    os.utime(planes / "dataset.json", (later, later))
    assert "stats_summary" in write_datastats(read_separate_folds(planes), path)
    assert not list(tmp_path.glob(".partial*"))


def test_label_of_another_shape_is_told(planes, tmp_path):
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(planes / "label1.png")
    with pytest.raises(InputError, match=r"label1\.png: shape \(5, 5\), its image \(20, 10\)"):
        write_datastats(read_separate_folds(planes), tmp_path / "datastats.yaml")
    assert not (tmp_path / "datastats.yaml").exists()


def test_large_plane_is_thinned_out_and_its_spacing_says_so(tmp_path):
    for name in ("image", "label"):
        Image.fromarray(np.ones((3, 4097), np.uint8)).save(tmp_path / f"{name}.png")
    case = ReadCase()({key: str(tmp_path / f"{key}.png") for key in ("image", "label")})
    assert case["image"].shape == case["label"].shape == (1, 2, 2049)
    assert case["image"].pixdim[:2].tolist() == [2, 2]
