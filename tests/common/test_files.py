"""What several processes write to at once stays whole."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from common.files import holding, replacing


def _count(path: Path, times: int) -> None:
    for _ in range(times):
        with holding(path.parent):
            number = int(path.read_text()) + 1
            with replacing(path) as partial:
                partial.write_text(str(number))


def test_processes_that_hold_a_folder_lose_nothing_of_each_other(tmp_path):
    path = tmp_path / "count.txt"
    path.write_text("0")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_count, args=(path, 200)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert path.read_text() == "600"
    assert [entry.name for entry in tmp_path.iterdir()] == ["count.txt"]


def test_a_folder_is_let_go_when_the_block_fails(tmp_path):
    for _ in range(2):
        try:
            with holding(tmp_path):
                raise KeyError
        except KeyError:
            pass
