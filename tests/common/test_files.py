"""What several processes write to at once stays whole."""

import errno
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import InputError
from common.files import FolderLock, holding, partial_path, replacing


def _fails(code: int, name: str | None = None) -> OSError:
    return OSError(code, os.strerror(code), name)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_full_disk_is_told_in_words_and_the_old_file_stays(tmp_path, code, wrapped):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(InputError, match=r"a: cannot be written \(.+\); free some space"), replacing(path) as partial:
        partial.write_text("half")
        try:
            raise _fails(code, None if wrapped else str(partial))
        except OSError:
            if wrapped:  # as torch does
                raise RuntimeError("unexpected pos") from None
            raise
    assert path.read_text() == "old" and [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_what_cannot_be_read_is_not_said_to_be_unwritable(tmp_path):
    with pytest.raises(PermissionError, match="elsewhere"), replacing(tmp_path / "a"):
        raise _fails(errno.EACCES, "/elsewhere")


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
    for _ in range(2):  # the second one would wait for ever
        with pytest.raises(KeyError), holding(tmp_path):
            raise KeyError


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    path = tmp_path / "mask.png"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with replacing(path) as partial:
        names = {pid: partial.name.replace(f"-{os.getpid()}-", f"-{pid}-") for pid in (ended.pid, os.getppid())}
        names |= {"other": f".partial-elsewhere-{ended.pid}-mask.png", "longer": names[ended.pid] + ".png"}
        for name in names.values():
            (tmp_path / name).touch()
        partial.write_bytes(b"1")
    with replacing(path) as partial:
        partial.write_bytes(b"2")
    left = {entry.name for entry in tmp_path.iterdir()}
    assert left == {"mask.png", names[os.getppid()], names["other"], names["longer"]}
    os.utime(tmp_path / names["other"], (0, 0))
    with replacing(path) as partial:
        partial.write_bytes(b"3")
    assert not (tmp_path / names["other"]).exists()


def test_temporary_names_are_the_processs_own_beside_the_file_and_keep_its_suffix(tmp_path):
    partial = partial_path(tmp_path / "a.png")
    assert partial.parent == tmp_path and re.fullmatch(rf"\.partial-\w*-{os.getpid()}-a\.png", partial.name)


HOLD = """
import sys, time
from common.files import FolderLock
FolderLock(sys.argv[1], "a training").acquire()
print("held", flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not kept there")
def test_a_folder_is_kept_to_one_process_until_that_is_killed(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        lock = FolderLock(tmp_path, "a training")
        with pytest.raises(InputError, match=rf"a training by process {holder.pid} on .* writes there; wait for it"):
            lock.acquire()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        lock.acquire()
        assert (tmp_path / ".lock").read_text().startswith(f"process {os.getpid()} ")
        lock.release()
        assert [*tmp_path.iterdir()] == []
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_a_folder_that_was_let_go_can_be_kept_again(tmp_path):
    for _ in range(2):
        lock = FolderLock(tmp_path, "a training")
        lock.acquire()
        assert lock.path.exists()
        lock.release()
        lock.release()
        assert not lock.path.exists()
