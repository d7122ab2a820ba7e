"""The benchmark of crossval times the commands that it tells, and says whether they are quick enough."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from common.errors import InputError
from tools.bench import crossval as module
from tools.bench.crossval import crossval, weights_difference


@pytest.fixture
def dataset(tmp_path):
    items = [{"image": f"{fold}", "label": "x", "sequence": str(fold), "fold": fold} for fold in (0, 1)]
    (tmp_path / "dataset.json").write_text(json.dumps({"name": "drawn", "training": items}))
    return str(tmp_path)


@pytest.fixture
def commands(monkeypatch):
    """What was run; each command leaves its weights."""
    found, seconds = [], iter((10.0, 22.0, 12.0, 21.0))

    def run(command):
        found.append(" ".join(command[1:]))
        output_dir = Path(command[command.index("--output_dir") + 1])
        whole = command[2] == "tools"
        for folder in [output_dir / f"devonet_nsn/fold_{fold}" for fold in (0, 1)] if whole else [output_dir]:
            folder.mkdir(parents=True, exist_ok=True)
            torch.save({"a": torch.tensor([1.0, 1.5 if whole else 1.25])}, folder / "model.pt")
        return next(seconds), 0

    monkeypatch.setattr(module, "run_measured", run)
    return found


def test_trainings_stand_around_the_cross_validation(commands, dataset):
    lines = crossval(dataset_dir=dataset, max_epochs="7").splitlines()
    assert [command.split()[1] for command in commands] == ["monai.bundle", "tools", "monai.bundle", "tools"]
    assert commands[1] == commands[3] and "--num_fold 2 --num_processes 1 " in commands[1]
    for fold, command in ((0, commands[0]), (1, commands[2])):
        assert f"--fold {fold} " in command and command.endswith(commands[1].partition("whole ")[2])
    assert "--max_epochs 7" in lines[1]
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    assert cells[5][1:] == ["22.0 s", "22.0 s", "1.00 x", "<= 1.15 x", "yes"]
    assert cells[6][1:] == ["21.0 s", "<= 20 s", "no"] and cells[7][1:] == ["0.25"]


def test_weights_of_another_architecture_are_told(tmp_path):
    for name, size in (("a", 1), ("b", 2)):
        torch.save({"x": torch.zeros(size)}, tmp_path / name)
    assert weights_difference(tmp_path / "a", tmp_path / "a") == 0
    with pytest.raises(InputError, match="another architecture than"):
        weights_difference(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"max_epochs": "0"}, "--max_epochs 0: expected a whole number, at least 1"),
        ({"dataset_dir": "nowhere"}, r"nowhere/dataset\.json: no such file"),
        ({"epochs": "3"}, "unknown flag --epochs"),
    ],
)
def test_bad_options_are_refused(commands, options, match):
    with pytest.raises(InputError, match=match):
        crossval(**options)
    assert commands == []
