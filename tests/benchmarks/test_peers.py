"""Learned peers run elsewhere: what they write is what the comparison reads, and scores as ours are scored."""

import ast
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from benchmarks.__main__ import main
from benchmarks.learned import peer
from benchmarks.peers import read_peers, score
from common.datalist import write_dataset
from tools.convert.nifti import write_volume

SCRIPTS = sorted(Path(peer.__file__).parent.glob("*.py"))
PROJECT = {"benchmarks", "bundles", "common", "tools"}


def _dataset(folder: Path) -> Path:
    """One volume, with a box in it, whose slices are twice as far apart as its pixels."""
    labels = np.zeros((6, 10, 12), np.uint16)
    labels[1:4, 2:6, 3:9] = 1
    for name, volume in {"image": labels * 500, "label": labels}.items():
        write_volume(folder / f"{name}.nii.gz", volume, (2.0, 1.0, 1.0))
    item = {"image": "image.nii.gz", "label": "label.nii.gz"}
    write_dataset(folder, name="box", training=[item | {"fold": fold} for fold in (0, 1)], testing=[item])
    return folder


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_peer_needs_nothing_of_the_project(script):
    nodes = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in nodes}
    assert names and not {name.partition(".")[0] for name in names} & PROJECT


def test_labels_of_a_peer_come_back_on_the_grid_of_the_image(tmp_path):
    shapes = []

    def segment(image):
        shapes.append(image.shape)
        return image > 250

    peer.predict(_dataset(tmp_path), segment, (1.0, 1.0, 1.0), tmp_path / "found")
    (found,) = read_peers(f"box={tmp_path / 'found'}").values()
    labels, seconds = found.read(tmp_path / "image.nii.gz")
    assert shapes == [(12, 10, 12)] and seconds > 0 and found.peak_bytes > 1e6
    assert score({"box": [labels]}, [labels])[0] == {"what": "SEG", "box": "1.0000"}
    with pytest.raises(ValueError, match=r"no labels of other.nii.gz"):
        found.read(tmp_path / "other.nii.gz")


def test_a_peer_learns_from_all_folds_but_one_within_its_budget(tmp_path, monkeypatch):
    told = []
    words = ["peer", "train", str(_dataset(tmp_path)), str(tmp_path / "model"), "--minutes", "2", "--fold", "1"]
    monkeypatch.setattr(sys, "argv", words)
    peer.main(lambda *given: told.append(given), load=None)
    ((kept, held_out, output, budget),) = told
    assert len(kept) == len(held_out) == 1 and kept[0].image.shape == (6, 10, 12)
    assert json.loads((output / peer.SPACING).read_text()) == [2.0, 1.0, 1.0]
    assert 0 <= budget.used < 60 < budget.left < 120


def test_pictures_are_written_as_label_images(tmp_path):
    labels = np.zeros((8, 9), np.uint16)
    labels[2:5, 3:6] = 4
    for name in ("image", "label"):
        tifffile.imwrite(tmp_path / f"{name}.tif", labels)
    write_dataset(tmp_path, name="one", training=[], testing=[{"image": "image.tif", "label": "label.tif"}])
    peer.predict(tmp_path, lambda image: image, (), tmp_path / "found")
    assert np.array_equal(tifffile.imread(tmp_path / "found" / "image_labels.tif"), labels)


def test_each_way_has_a_column_and_crowded_images_a_row():
    few, many = np.zeros((2, 20, 20), np.int32)
    few[:5, :5] = 1
    many[::3, ::3] = np.arange(1, 50).reshape(7, 7)
    half = few.copy()
    half[:2] = 0
    rows = {row.pop("what"): row for row in score({"a": [few, many], "b": [half, 0 * many]}, [few, many])}
    assert rows["SEG"] == {"a": "1.0000", "b": "0.0120"}  # 0.6 of 50 objects
    assert rows["SEG, 1 images with up to 4 objects"] == {"a": "1.0000", "b": "0.6000"}
    assert rows["SEG, 1 images with more than 16 objects"] == {"a": "1.0000", "b": "0.0000"}
    assert rows["SEG, mean per image"] == {"a": "1.0000", "b": "0.3000"}
    assert rows["AP50, TP/(TP+FP+FN)"] == {"a": "1.0000", "b": "0.0200"}


def test_results_that_are_not_there_are_told(capsys):
    assert main(["peers", "--results", "stardist=nowhere"]) == 1
    assert "nowhere/used.json" in capsys.readouterr().err
