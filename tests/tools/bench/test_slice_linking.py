"""Linking is judged on the same detections as connected components."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy import ndimage

from common.errors import InputError
from tools.bench import slice_linking
from tools.bench.slice_linking import Remembering, as_components, as_table, linking


class Bright(torch.nn.Module):
    """Stands in for the trained detector: in each slice the nucleus on the left, the one on the right."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def detect_volume(self, volume: torch.Tensor, *, batch_size: int):
        self.calls += 1
        for plane in volume:
            bright = plane.numpy() > 0.5
            middle = bright.shape[1] // 2
            halves = [bright & (np.arange(bright.shape[1]) < middle), bright & (np.arange(bright.shape[1]) >= middle)]
            masks = [half for half in halves if half.any()]
            boxes = [(x.start, y.start, x.stop, y.stop) for half in masks for y, x in ndimage.find_objects(half * 1)]
            yield {
                "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
                "scores": torch.full((len(masks),), 0.9),
                "masks": torch.from_numpy(np.array(masks, np.float32).reshape(-1, 1, *bright.shape)),
            }


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A volume with two nuclei that touch."""
    truth = np.zeros((6, 32, 40), np.uint16)
    truth[:, 8:24, 8:20], truth[:, 8:24, 20:32] = 1, 2
    for name, volume in {"a": (100 + 100 * (truth > 0)).astype(np.float32), "l": truth}.items():
        nib.save(nib.Nifti1Image(volume.T, np.diag([0.8, 0.8, 2.0, 1.0])), tmp_path / f"{name}.nii.gz")
    content = {"name": "touching", "testing": [{"image": "a.nii.gz", "label": "l.nii.gz"}]}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    (tmp_path / "weights.pt").touch()
    return tmp_path


def test_touching_nuclei_are_one_component_and_two_linked_objects(dataset, monkeypatch):
    network = Bright()
    monkeypatch.setattr(slice_linking, "network_with_weights", lambda parser: network)
    lines = linking(dataset_dir=str(dataset), ckpt_path=str(dataset / "weights.pt")).splitlines()
    assert lines[0] == "data: touching: n = 1" and network.calls == 1
    cells = {line[:15].strip(): line[15:].split() for line in lines if line[:15].strip()}
    scores = [float(score) for score in cells["SEG"]]
    assert scores[0] > 0.9 and scores[1] > 0.9 and scores[2] == 0.5
    assert cells["objects found"] == ["2", "2", "1"] and cells["reference objec"] == ["ts", "2", "2", "2"]


def test_another_volume_is_looked_at_again():
    network = Bright()
    remembering = Remembering(network)
    for volume in (torch.zeros(2, 8, 8), torch.zeros(2, 8, 8), torch.ones(2, 8, 8)):
        found = list(remembering.detect_volume(volume, batch_size=1))
        assert [len(detections["boxes"]) for detections in found] == [2 * bool(volume.any())] * 2
    assert network.calls == 2


def test_components_are_connected_through_faces():
    labels = np.zeros((2, 2, 3), np.int32)
    labels[0, 0, 0], labels[0, 0, 1], labels[1, 1, 2] = 5, 7, 5
    assert as_components(labels).tolist() == [[[1, 1, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 2]]]


def test_table_pools_the_objects_of_all_volumes():
    table = as_table(
        {"a": [(np.array([1.0, 0.0]), 3), (np.array([0.5]), 1)], "b": [(np.zeros(2), 0), (np.zeros(1), 0)]}
    )
    assert [line.split()[-2:] for line in table.splitlines()] == [
        *(["a", "b"], ["0.5000", "0.0000"], ["4", "0"], ["3", "3"], ["1", "3"])
    ]


def test_what_cannot_be_judged_is_refused(dataset):
    with pytest.raises(InputError, match="--dataset_dir missing"):
        linking()
    (dataset / "dataset.json").write_text(json.dumps({"testing": [{"image": "a.nii.gz"}]}))
    with pytest.raises(InputError, match="no labels under testing"):
        linking(dataset_dir=str(dataset))
    with pytest.raises(InputError, match="datset_dir"):
        linking(datset_dir=str(dataset))
