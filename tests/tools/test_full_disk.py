"""A full disk and a folder that cannot be written end in one line; what was there is untouched."""

import hashlib
import re
from pathlib import Path

import pytest

from tests.processes import run_module
from tools.__main__ import VERBS
from tools.bundles import find_bundle
from tools.command_line import run

ROOT = Path(__file__).parents[2]
BUNDLE = "devonet_nsn"
WEIGHTS = find_bundle(BUNDLE) / "models/model.pt"
READ_ONLY = Path("/sys/nowhere")  # where not even an administrator makes a folder
CONVERT = ["--spacing", "2.0,0.8,0.8", "--folds", "3", "--test", "04"]
BRIEF = ["--max_epochs", "1", "--val_interval", "1", "--patch_size", "[8,32,32]", "--spacing", "[2.0,1.6,1.6]"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not READ_ONLY.parent.is_dir(), reason="no folder that nobody can write to"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A folder with the synthetic source and dataset of the bundle."""
    folder = tmp_path_factory.mktemp("data")
    assert run(VERBS, ["sample", "ctc", str(folder / "source")]) == 0
    assert run(VERBS, ["convert", "ctc", str(folder / "source"), str(folder / "dataset"), *CONVERT]) == 0
    return folder


def bundle_run(configs: str, data: Path, output: Path) -> list[str]:
    files = [str(find_bundle(BUNDLE) / f"configs/{name}.json") for name in configs.split(",")]
    given = {"bundle_root": find_bundle(BUNDLE), "dataset_dir": data / "dataset", "output_dir": output}
    command = ["monai.bundle", "run", "--config_file", str(files)]
    return command + [word for name, value in given.items() for word in (f"--{name}", str(value))]


# what is run, given the data and where to write -> its words; and how many KiB a file may then have
COMMANDS = {
    "sample": (lambda data, to: ["tools", "sample", "ctc", str(to)], 8),
    "convert": (lambda data, to: ["tools", "convert", "ctc", str(data / "source"), str(to), *CONVERT], 8),
    "overlay": (lambda data, to: ["tools", "overlay", image(data), label(data), str(to / "a.png")], 8),
    "share": (lambda data, to: ["tools", "share", BUNDLE, str(to)], 8),
    "segment": (lambda data, to: ["tools", "segment", BUNDLE, image(data), str(to)], 0),
    "inference": (lambda data, to: bundle_run("inference", data, to), 0),
    "evaluation": (lambda data, to: [*bundle_run("train,evaluate", data, to), "--ckpt_path", str(WEIGHTS)], 0),
    "training": (lambda data, to: [*bundle_run("train", data, to), *BRIEF], 8),
    "crossval": (
        lambda data, to: (
            ["tools", "crossval", BUNDLE, *BRIEF] + ["--dataset_dir", str(data / "dataset"), "--output_dir", str(to)]
        ),
        8,
    ),
    "auto3dseg": (lambda data, to: ["tools", "auto3dseg", str(to / "templates"), BUNDLE], 0),
}


def image(data: Path) -> str:
    return str(next((data / "dataset" / "images").iterdir()))


def label(data: Path) -> str:
    return str(data / "dataset" / "labels" / Path(image(data)).name)


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha1(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.few(*COMMANDS.keys() - {"share"})
@pytest.mark.parametrize("name", list(COMMANDS))
@pytest.mark.parametrize("is_full", [True, False], ids=["full disk", "read-only folder"])
def test_one_line_and_nothing_is_lost(data, tmp_path, name, is_full):
    output = tmp_path / "output" if is_full else READ_ONLY
    if is_full and name != "sample":  # which wants its folder empty
        output.mkdir()
        (output / "model.pt").write_bytes(b"of an earlier run")
    before = digests(tmp_path)
    words, limit = COMMANDS[name]
    code, printed = run_module("tests.tools.limited", limit if is_full else -1, *words(data, output), cwd=ROOT)
    told = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert code == 1 and "Traceback" not in printed, printed[-3000:]
    assert len(told) == 1 and re.search(r"File too large|not permitted|not written", told[0]), printed[-3000:]
    assert digests(tmp_path).items() >= before.items()
    assert not [path for path in tmp_path.rglob(".partial-*") if path.stat().st_size]
