"""Temporary folders: gone when their process is."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tools.temporary import PREFIX, temporary_folder

ROOT = Path(__file__).parents[2]
KEEP = """
import sys
from tools.temporary import temporary_folder
with temporary_folder("a") as folder:
    (folder / "b").write_text("c")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def parent(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def keeper(parent: Path) -> tuple[subprocess.Popen, Path]:
    command = [sys.executable, "-c", KEEP]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"TMPDIR": str(parent)}, **pipes)
    return process, Path(process.stdout.readline().strip())


def test_folder_is_removed_with_what_is_in_it_also_after_an_error(parent):
    with pytest.raises(ZeroDivisionError, match="division"), temporary_folder("a") as folder:
        (folder / "b").write_text("c")
        1 / 0  # noqa: B018
    assert not list(parent.iterdir())


def test_folders_in_use_stay_and_those_of_killed_processes_go(parent):
    process, folder = keeper(parent)
    with temporary_folder("b") as own, temporary_folder("b"):
        assert folder.is_dir() and own.is_dir()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert folder.is_dir()
    with temporary_folder("b") as own:
        assert list(parent.iterdir()) == [own]


def test_neither_files_nor_links_nor_others_folders_are_taken_for_leftovers(parent, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (parent / f"{PREFIX}link").symlink_to(elsewhere)
    (parent / f"{PREFIX}file").touch()
    (parent / "serve-theirs").mkdir()
    with temporary_folder("serve"):
        pass
    assert len(list(parent.iterdir())) == 3 and elsewhere.is_dir()


def test_what_another_user_left_is_not_removed(parent, monkeypatch):
    (parent / f"{PREFIX}left").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: parent.stat().st_uid + 1)
    with temporary_folder("a"):
        assert (parent / f"{PREFIX}left").is_dir()


def test_beside_a_path_it_is_hidden_and_leftovers_there_go(parent):
    (parent / f".partial-{PREFIX}space-left").mkdir()
    with temporary_folder("space", beside=parent / "target") as folder:
        assert list(parent.iterdir()) == [folder] and folder.name.startswith(".partial-")
