"""progress.yaml tells every validation, in the form that Auto3DSeg reads."""

import json
import os

import pytest
import torch
from monai.bundle import ConfigParser
from torch.utils.tensorboard import SummaryWriter

from common.errors import InputError
from tools.runs.bundles import key_metric
from tools.runs.progress import progress_entries, read_validations, write_progress


def write_events(folder, scores, metric="iou", first_time=0):
    with SummaryWriter(str(folder)) as writer:
        for index, (epoch, score) in enumerate(scores.items()):
            writer.add_scalar(metric, score, epoch, walltime=1 + first_time + index)
            writer.add_scalar("train_loss", 1.0, epoch)


def save_state(folder, best_metric=0.75, best_epoch=10):
    torch.save({"epoch": 15, "progress": {"best_metric": best_metric, "best_epoch": best_epoch}}, folder / "resume.pt")


def test_each_validation_is_an_entry_and_the_last_tells_the_best(tmp_path):
    write_events(tmp_path / "tensorboard", {5: 0.5, 10: 0.75, 15: 0.625})
    save_state(tmp_path)
    write_progress(tmp_path, "iou")
    entries = ConfigParser.load_config_file(tmp_path / "progress.yaml")  # as Auto3DSeg's BundleAlgo.get_score reads it
    assert entries[-1]["best_avg_dice_score"] == 0.75
    assert [(entry["epoch"], entry["iou"]) for entry in entries] == [(5, 0.5), (10, 0.75), (15, 0.625)]
    assert [entry["best_avg_dice_score_epoch"] for entry in entries] == [5, 10, 10]


def test_of_equal_validations_the_first_is_the_best():
    entries = progress_entries({5: 0.5, 10: 0.5}, "dice", 0.5, 5)
    assert entries[-1]["best_avg_dice_score_epoch"] == 5


def test_after_an_interruption_the_later_validation_of_an_epoch_counts(tmp_path):
    write_events(tmp_path, {5: 0.5, 10: 0.1})
    write_events(tmp_path, {10: 0.75, 15: 0.25}, first_time=100)
    assert read_validations(tmp_path, "iou") == {5: 0.5, 10: 0.75, 15: 0.25}


def test_without_tensorboard_there_is_the_best_alone(tmp_path):
    save_state(tmp_path)
    assert write_progress(tmp_path, "seg") == [
        {"epoch": 10, "seg": 0.75, "best_avg_dice_score": 0.75, "best_avg_dice_score_epoch": 10}
    ]


def test_it_is_renewed_only_after_the_training_went_on(tmp_path):
    save_state(tmp_path)
    write_progress(tmp_path, "iou")
    (tmp_path / "progress.yaml").write_text("- {best_avg_dice_score: 0.1}\n")
    assert write_progress(tmp_path, "iou") == [{"best_avg_dice_score": 0.1}]
    later = (tmp_path / "progress.yaml").stat().st_mtime + 10
    os.utime(tmp_path / "resume.pt", (later, later))
    assert write_progress(tmp_path, "iou")[-1]["best_avg_dice_score"] == 0.75


def test_what_is_no_training_is_told(tmp_path):
    (tmp_path / "resume.pt").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"resume\.pt: not the state of a training .*; train again"):
        write_progress(tmp_path, "iou")


def test_key_metric_is_that_of_train_json(tmp_path):
    (tmp_path / "configs").mkdir()
    path = tmp_path / "configs/train.json"
    path.write_text(json.dumps({"validate": {"key_metric": {"seg": {}}}}))
    assert key_metric(tmp_path) == "seg"
    path.write_text("{}")
    with pytest.raises(InputError, match=r"train\.json: validate#key_metric is None, expected one metric by name"):
        key_metric(tmp_path)
