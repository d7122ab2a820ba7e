"""Training over several processes."""

import sys

import pytest
import torch

from common.training.processes import validation_sampler
from tests.processes import run_on_two

TRAINING = """
from pathlib import Path
import torch
from common.training.processes import join_processes, leave_processes, to_distributed
device = torch.device("cpu")
join_processes(device)
network = to_distributed(torch.nn.Conv3d(1, 2, 3), device)
network(torch.rand(1, 1, 8, 8, 8)).sum().backward()
leave_processes(network)
print("threads:", *(path.read_text() for path in Path("/proc/self/task").glob("*/comm")), sep="")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="names of threads are read from /proc")
def test_no_thread_of_the_process_group_outlives_the_training(tmp_path):
    (tmp_path / "some_training.py").write_text(TRAINING)
    output = "".join(run_on_two("some_training", cwd=tmp_path))
    assert output.count("threads:") == 2 and "gloo" not in output


def share_of(rank, num_items, monkeypatch):
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda group=None: 2)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda group=None: rank)
    sampler = validation_sampler(range(num_items))
    return None if sampler is None else list(sampler)


@pytest.mark.parametrize("num_items", [2, 3])
def test_each_item_is_validated_by_one_process(num_items, monkeypatch):
    shares = [share_of(rank, num_items, monkeypatch) for rank in (0, 1)]
    assert sorted(sum(shares, [])) == list(range(num_items)) and all(shares)


def test_with_fewer_items_than_processes_each_validates_all(monkeypatch):
    assert share_of(0, 1, monkeypatch) is None
