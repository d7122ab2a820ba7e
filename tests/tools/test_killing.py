"""Work that is killed at any moments and begun again ends as work that was left alone."""

import hashlib
import json
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tools.__main__ import VERBS
from tools.bundles import find_bundle
from tools.command_line import run
from tools.runs.warm import WarmProcess, can_fork
from tools.runs.words import as_words, bundle_command
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
    "share": (BUNDLE, lambda data, to: ["tools", "share", BUNDLE, str(to)], 2),
}


# of trainings that take seconds
SHORT = {"max_epochs": 3, "val_interval": 1, "num_workers": 0, "amp": False}
TINY = {
    "crypt_unet": {"patch_size": [64, 64], "patches_per_epoch": 8, "batch_size": 4},
    "devonet_ndn": {"spacing": [4.0, 3.2, 3.2], "patch_size": [16, 16, 16]},
    "devonet_nsn": {"spacing": [4.0, 3.2, 3.2], "patch_size": [16, 16, 16], "init_channels": 4},
    "maskrcnn_2p5d": {"spacing": [4.0, 0.8, 0.8]},
    "swinunet_livecell": {"patches_per_epoch": 8, "batch_size": 4},
}


def training(name: str, data: Path, output: Path, *, config: str = "", workflow: str = "training") -> list[str]:
    root = find_bundle(name)
    toolbox, known = read_toolbox(root), json.loads((root / "configs/train.json").read_text())
    knobs = {**toolbox.quickstart, **toolbox.brief, **toolbox.offline, **TINY.get(name, {}), **SHORT}
    knobs = {key: value for key, value in knobs.items() if key in known}
    given = {"bundle_root": root, "dataset_dir": data / "dataset", "output_dir": output, **knobs}
    configs = [root / "configs/train.json", *([root / f"configs/{config}.json"] if config else [])]
    return bundle_command(configs, given, workflow=workflow)[2:]


def embedding(name: str, data: Path, output: Path) -> list[str]:
    return training(name, data, output, config="embed", workflow="")


def crossval(name: str, data: Path, output: Path) -> list[str]:
    given = {"dataset_dir": data / "dataset", "output_dir": output, "folds": "0,1", "num_processes": 1}
    knobs = {**TINY[name], **SHORT, "max_epochs": 2}
    return ["tools", "crossval", name, *as_words({**given, **knobs})]


def tensors(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """All weights, states of optimizers and embeddings in a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        flat: dict[str, torch.Tensor] = {}
        if path.suffix == ".pt":
            _flatten(torch.load(path, weights_only=True), "", flat)
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                _flatten({name: torch.from_numpy(arrays[name]) for name in arrays}, "", flat)
        else:
            continue
        found[path.relative_to(folder).as_posix()] = flat
    return found


def _flatten(value: object, name: str, flat: dict[str, torch.Tensor]) -> None:
    if isinstance(value, dict):
        for key, of in value.items():
            _flatten(of, f"{name}/{key}", flat)
    elif isinstance(value, (list, tuple)):
        for number, of in enumerate(value):
            _flatten(of, f"{name}/{number}", flat)
    elif isinstance(value, torch.Tensor):
        flat[name] = value
    elif isinstance(value, (int, float)):
        flat[name] = torch.tensor(value)


def assert_same_tensors(killed: Path, alone: Path) -> None:
    found, expected = tensors(killed), tensors(alone)
    assert found.keys() == expected.keys() and expected
    for name, of in expected.items():
        assert found[name].keys() == of.keys()
        for key, value in of.items():
            other = found[name][key]
            assert torch.equal(other, value) or (other.isnan() & value.isnan()).all(), (
                f"{name}{key}: up to {(other.double() - value.double()).abs().max()} apart"
            )


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


# name -> how its words are made, its bundle, how often it is killed
TRAININGS = {name: (training, name, 3 if name == BUNDLE else 1) for name in (BUNDLE, *TINY)}
TRAININGS |= {"sam_myelin": (training, "sam_myelin", 1)}
TRAININGS |= {"embed": (embedding, "sam_myelin", 3), "crossval": (crossval, BUNDLE, 3)}


def run_alone_and_killed(
    words: Callable[[Path], list[str]], num_kills: int, folder: Path, moments: tuple[float, float] = (0.0, 1.0)
) -> tuple[Path, Path]:
    """What a run left alone leaves, and what one does that is killed, at such parts of its time, and begun again."""
    alone, killed = folder / "alone", folder / "killed"
    work(["tools", "--help"])  # so that what is forked from is there
    code, seconds, printed = work(words(alone))
    assert code == 0, printed[-3000:]
    draws = random.Random(num_kills)
    for _ in range(num_kills):
        moment = seconds * draws.uniform(*moments)
        code, _, printed = work(words(killed), lambda passed, moment=moment: passed > moment)
        assert code in (0, -9), printed[-3000:]  # 0 where little was left to do
    code, _, printed = work(words(killed))
    assert code == 0, printed[-3000:]
    assert not list(killed.rglob(".partial-*")), "half files are left"
    return alone, killed


@pytest.mark.few("devonet_nsn", "embed")
@pytest.mark.parametrize("name", list(TRAININGS))
def test_training_that_is_killed_ends_with_the_weights_of_one_left_alone(made, tmp_path, monkeypatch, name):
    words, bundle, num_kills = TRAININGS[name]
    data = made(bundle)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone, killed = run_alone_and_killed(lambda to: words(bundle, data, to), num_kills, tmp_path, (0.2, 0.95))
    assert_same_tensors(killed, alone)


@pytest.mark.few("convert")
@pytest.mark.parametrize("name", list(WORK))
def test_killed_and_begun_again_it_ends_as_if_left_alone(made, tmp_path, monkeypatch, name):
    bundle, words, num_kills = WORK[name]
    data = made(bundle)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    alone, killed = run_alone_and_killed(lambda to: words(data, to), num_kills, tmp_path)
    assert contents(killed) == contents(alone) and contents(alone)
    assert not list((tmp_path / "tmp").glob("microscopy-bundles-*")), "temporary folders are left"
