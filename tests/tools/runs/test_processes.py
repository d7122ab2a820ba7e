"""Trainings go over all GPUs, and what cannot is refused before it starts."""

import json

import pytest
import torch

from common.errors import InputError
from tools.runs.plan import check_multi_gpu, count_processes


@pytest.fixture
def gpus(monkeypatch):
    """Function that gives the machine so many GPUs."""
    return lambda number: monkeypatch.setattr(torch.cuda, "device_count", lambda: number)


@pytest.mark.parametrize(
    ("num_gpus", "wanted", "expected"), [(0, None, 1), (1, None, 1), (4, None, 4), (0, 2, 2), (4, 1, 1)]
)
def test_one_process_for_each_gpu(gpus, num_gpus, wanted, expected):
    gpus(num_gpus)
    assert count_processes(wanted) == expected


def test_more_processes_than_gpus_are_refused(gpus):
    gpus(2)
    with pytest.raises(InputError, match="--num_processes 3: this machine has 2 GPUs"):
        count_processes(3)


def test_what_each_process_sets_is_not_overridden(tmp_path):
    path = tmp_path / "configs/multi_gpu_train.json"
    path.parent.mkdir()
    with pytest.raises(InputError, match=r"multi_gpu_train\.json: no such file, .* give --num_processes 1"):
        check_multi_gpu(tmp_path, {})
    path.write_text(json.dumps({"device": "$cuda", "train#dataloader#shuffle": False}))
    check_multi_gpu(tmp_path, {"max_epochs": "5", "train#dataset#cache_rate": "0.0"})
    with pytest.raises(InputError, match=r"--device: multi_gpu_train\.json sets it for each process; leave it out"):
        check_multi_gpu(tmp_path, {"device": "cpu"})
