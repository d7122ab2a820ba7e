"""A real cross-validation, killed half way through its second fold, goes on where it was."""

import json
from pathlib import Path

import pytest
import yaml

from common.errors import InputError
from tools.convert.ctc import ctc as convert_ctc
from tools.runs import warm
from tools.runs.crossval.commands import crossval
from tools.sample.ctc import ctc
from tools.sample.embryo import SPACING_UM

pytestmark = pytest.mark.slow

BRIEF = {"max_epochs": "2", "val_interval": "1", "init_channels": "2", "batch_size": "1", "patches_per_volume": "1"}
BRIEF |= {"patch_size": "[8, 16, 16]", "spacing": "[4.0, 3.2, 3.2]"}


class KilledAfterAnEpoch(warm.WarmProcess):
    """A training of fold 1 that gets a signal after its first epoch; other commands run as they are."""

    def __init__(self, command):
        super().__init__(command)
        if "training" in command and command[command.index("--fold") + 1] == "1":
            self.stdout = self._until_killed(self.stdout)

    def _until_killed(self, lines):
        with lines:
            for line in lines:
                yield line
                if "SupervisedTrainer" in line and "Epoch[1] Complete" in line:
                    self._process.kill()


@pytest.fixture
def dataset(tmp_path):
    ctc(str(tmp_path / "source"), num_sequences=3, num_frames=1)
    convert_ctc(tmp_path / "source", tmp_path / "data", spacing=SPACING_UM, folds=2, test=["03"], name="embryos")
    return tmp_path / "data"


def test_killed_fold_goes_on_and_the_finished_one_is_untouched(dataset, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    options = {"dataset_dir": str(dataset), "output_dir": str(folder), "num_processes": "1", **BRIEF}
    finished, killed = (folder / f"devonet_nsn/fold_{fold}" for fold in (0, 1))
    with monkeypatch.context() as patch:
        patch.setattr(warm, "WarmProcess", KilledAfterAnEpoch)
        with pytest.raises(InputError, match="the step 'devonet_nsn, fold 1: train' failed"):
            crossval("devonet_nsn", **options)
    assert (killed / "resume.pt").is_file() and not (folder / "report.md").exists()
    dates = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}

    text = crossval("devonet_nsn", **options)
    assert "resumed from" in (log := (killed / "logs/train.log").read_text()) and "after epoch 1 of 2" in log
    assert {path: path.stat().st_mtime_ns for path in dates} == dates
    report = json.loads((folder / "report.json").read_text())
    assert {fold: of["epochs"] for fold, of in report["bundles"]["devonet_nsn"]["folds"].items()} == {"0": 2, "1": 2}
    entries = yaml.safe_load((killed / "progress.yaml").read_text())
    assert [entry["epoch"] for entry in entries] == [1, 2]
    assert report["ensembles"]["best by fold"]["members"] == ["devonet_nsn, fold 0", "devonet_nsn, fold 1"]
    assert text == Path(folder, "report.md").read_text() and "images/03_t000.nii.gz" in text
