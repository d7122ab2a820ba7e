"""A bundle's own training, as it is, tells its validations to a study."""

import json
import sys
from pathlib import Path

import fire
import pytest
from monai.bundle import run as run_bundle
from monai.utils import set_determinism

from tools.__main__ import VERBS
from tools.bundles import find_bundle
from tools.command_line import run
from tools.runs.tune import trials
from tools.runs.tune.storage import URL_VARIABLE
from tools.toolbox import read_toolbox

SPACE = {
    "init_channels": {"type": "categorical", "choices": [2, 4]},
    "train#dataloader#buffer_size": {"type": "int", "low": 1, "high": 2},
    "loss": {"type": "categorical", "choices": ["@losses::dice", "@losses::dicece"]},
}
BRIEF = {"--max_epochs": "1", "--patch_size": "[16, 16, 16]", "--spacing": "[2.0, 1.6, 1.6]"}


@pytest.fixture
def in_this_process(monkeypatch):
    """Commands run in this process, which spares each the seconds of its imports."""

    def run_step(name, command, log):
        assert command[:4] == ["python", "-m", "monai.bundle", "run"]
        fire.Fire(run_bundle, command=[*command[4:], "--logging_file", "False"])

    monkeypatch.setattr(trials, "run_step", run_step)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setenv(URL_VARIABLE, "")
    yield
    set_determinism(seed=None)


@pytest.mark.slow
def test_two_trials_of_devonet_nsn(tmp_path, in_this_process, capsys):
    source, dataset, space, out = (str(tmp_path / name) for name in ("source", "dataset", "space.json", "out"))
    source_format = read_toolbox(find_bundle("devonet_nsn")).source
    assert run(VERBS, ["sample", "devonet_nsn", source]) == 0
    assert run(VERBS, ["convert", source_format.format, source, dataset, *source_format.convert]) == 0
    Path(space).write_text(json.dumps(SPACE))
    options = ["--dataset_dir", dataset, "--space", space, "--output_dir", out, "--trials", "2"]
    options += [word for option in BRIEF.items() for word in option]
    assert run(VERBS, ["tune", "devonet_nsn", *options]) == 0
    assert "study devonet_nsn, 2 complete" in capsys.readouterr().out
    assert all((tmp_path / f"out/trial_000{number}/model.pt").is_file() for number in (0, 1))
    assert set(json.loads((tmp_path / "out/best.json").read_text())) == set(SPACE)
