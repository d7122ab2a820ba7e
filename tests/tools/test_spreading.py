"""Jobs over processes, some of which are killed."""

import functools
import os
import signal
import sys
from pathlib import Path

import pytest

from common.errors import InputError
from tools.spreading import one_by_one, open_cluster


def work(folder: Path, job: str) -> None:
    """Leave a file for every try; a process that works on ``killed`` dies twice, on ``deadly`` always."""
    tries = len(list(folder.glob(f"{job}-*")))
    (folder / f"{job}-{tries}").write_text(str(os.getpid()))
    if job == "deadly" or (job == "killed" and tries < 2):
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "bad":
        raise InputError("a bad image")


def outcomes(spread, folder: Path, jobs: list[str]) -> dict[str, str]:
    return {job: str(error or "done") for job, error in spread(functools.partial(work, folder), jobs)}


def test_without_workers_jobs_are_done_here_in_order(tmp_path):
    with open_cluster() as spread:
        assert spread is one_by_one
        assert outcomes(spread, tmp_path, ["a", "bad", "b"]) == {"a": "done", "bad": "a bad image", "b": "done"}
    assert {(tmp_path / f"{job}-0").read_text() for job in "ab"} == {str(os.getpid())}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_jobs_whose_process_is_killed_are_tried_again_twice_and_then_reported(tmp_path):
    jobs = [*map(str, range(6)), "killed", "deadly", "bad"]
    with open_cluster(2) as spread:
        found = outcomes(spread, tmp_path, jobs)
    assert {found[job] for job in [*map(str, range(6)), "killed"]} == {"done"}
    assert found["bad"] == "a bad image"
    assert found["deadly"] == "its process died again and again, perhaps for lack of memory"
    assert len(list(tmp_path.glob("deadly-*"))) == 3
    assert str(os.getpid()) not in {path.read_text() for path in tmp_path.iterdir()}


@pytest.mark.slow
def test_a_scheduler_that_is_not_there_is_told():
    pytest.importorskip("distributed")
    with (
        pytest.raises(InputError, match="no Dask scheduler answers there"),
        open_cluster(scheduler="tcp://127.0.0.1:9"),
    ):
        pass


@pytest.mark.slow
def test_clusters_beside_each_other_take_no_port_from_each_other(tmp_path):
    with open_cluster(1) as spread, open_cluster(1) as other:  # Dask would warn, which is an error here
        assert outcomes(spread, tmp_path, ["a"]) == outcomes(other, tmp_path, ["a"]) == {"a": "done"}
