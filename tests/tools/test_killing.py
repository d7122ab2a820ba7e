"""Work that is killed at any moments and begun again ends as work that was left alone."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.__main__ import VERBS
from tools.bundles import find_bundle
from tools.command_line import run
from tools.runs.warm import WarmProcess, can_fork
from tools.toolbox import read_toolbox

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not can_fork(), reason="processes are not forked here")]
BUNDLE = "devonet_nsn"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Callable[[str], Path]:
    """Function that gives the folder with the synthetic source and dataset of a bundle."""
    folders: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in folders:
            folder = folders[name] = tmp_path_factory.mktemp(name)
            source = read_toolbox(find_bundle(name)).source
            assert run(VERBS, ["sample", name, str(folder / "source")]) == 0
            words = ["convert", source.format, str(folder / "source"), str(folder / "dataset"), *source.convert]
            assert run(VERBS, words) == 0
        return folders[name]

    return make


def convert(data: Path, output: Path) -> list[str]:
    source = read_toolbox(find_bundle(BUNDLE)).source
    return ["tools", "convert", source.format, str(data / "source"), str(output), *source.convert]


# name -> its bundle, its words given data and where to write, how often it is killed
WORK = {
    "convert": (BUNDLE, convert, 10),
    "segment": (BUNDLE, lambda data, to: ["tools", "segment", BUNDLE, str(data / "dataset/images"), str(to)], 10),
    "share": (BUNDLE, lambda data, to: ["tools", "share", BUNDLE, str(to)], 4),
}


def work(words: list[str], is_time: Callable[[float], bool] = lambda seconds: False) -> tuple[int | None, float, str]:
    """Run a command, killed when it is time: its exit code, seconds, and what it printed."""
    lines: list[str] = []
    started = time.monotonic()
    with WarmProcess(["python", "-m", *words]) as process:
        reader = threading.Thread(target=lambda: lines.extend(process.stdout))
        reader.start()
        while reader.is_alive():
            reader.join(0.01)
            if is_time(time.monotonic() - started):
                process._process.kill()
                break
        reader.join()
    return process.returncode, time.monotonic() - started, "".join(lines)


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file, wherever the folder is."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): _digest(path) for path in files}


def _digest(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".json":
        content = json.dumps(json.loads(content), sort_keys=True).replace("killed", "alone").encode()
    return hashlib.sha1(content).hexdigest()


@pytest.mark.parametrize("name", list(WORK))
def test_killed_and_begun_again_it_ends_as_if_left_alone(made, tmp_path, monkeypatch, name):
    bundle, words, num_kills = WORK[name]
    data, alone, killed = made(bundle), tmp_path / "alone", tmp_path / "killed"
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    work(["tools", "--help"])  # so that what is forked from is there
    code, seconds, printed = work(words(data, alone))
    assert code == 0, printed[-3000:]
    moments = random.Random(name)
    for _ in range(num_kills):
        moment = moments.uniform(0, seconds)
        code, _, printed = work(words(data, killed), lambda passed, moment=moment: passed > moment)
        assert code in (0, -9), printed[-3000:]  # 0 where little was left to do
    code, _, printed = work(words(data, killed))
    assert code == 0, printed[-3000:]
    assert contents(killed) == contents(alone) and contents(alone)
    assert not list(killed.rglob(".partial-*")), "half files are left"
    assert not list((tmp_path / "tmp").glob("microscopy-bundles-*")), "temporary folders are left"
