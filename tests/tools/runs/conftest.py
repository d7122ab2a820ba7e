"""Bundles as far as runs read them, and what stands in for their commands."""

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tools.bundles import VARIABLE
from tools.runs import executor


def touch_files(folder: Path) -> Path:
    """Make the images and labels that a dataset lists, empty; the folder."""
    content = json.loads((folder / "dataset.json").read_text())
    for item in content.get("training", []) + content.get("testing", []):
        for name in (item["image"], item.get("label", "x")):
            (folder / name).touch()
    return folder


class FakeRun:
    """Replaces the commands: notes them, and calls what leaves the files that each would have written.

    ``train``, ``evaluate`` and ``infer`` take the step's title, the options and the output folder; what they return is
    the log.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.commands: dict[str, list[str]] = {}
        self.train = self.evaluate = self.infer = lambda title, option, output_dir: None

    def __call__(self, title: str, command: list[str], log: Path) -> None:
        self.names.append(title)
        self.commands[title] = command
        option = {key: value for key, value in itertools.pairwise(command) if key.startswith("--")}
        output_dir = Path(option["--output_dir"])
        output_dir.mkdir(parents=True, exist_ok=True)
        log.parent.mkdir(parents=True, exist_ok=True)
        leave = self.infer if "--save_probability" in command else self.evaluate
        log.write_text((self.train if "training" in command else leave)(title, option, output_dir) or "done\n")


@pytest.fixture
def fake_run(monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    """What replaces the commands of all steps."""
    fake = FakeRun()
    monkeypatch.setattr(executor, "run_step", fake)
    return fake


@pytest.fixture
def write_bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Function that writes a collection of bundles, name -> config -> content, and works in the folder that has it."""

    def write(**bundles: Mapping[str, object]) -> Path:
        for name, contents in bundles.items():
            configs = tmp_path / "bundles" / name / "configs"
            configs.mkdir(parents=True)
            for kind, content in {"metadata": {}, **contents}.items():
                (configs / f"{kind}.json").write_text(json.dumps(content))
        monkeypatch.setenv(VARIABLE, str(tmp_path / "bundles"))
        monkeypatch.chdir(tmp_path)
        return tmp_path / "bundles"

    return write
