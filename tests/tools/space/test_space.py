"""A Space is complete: it starts from its own folder alone, and answers."""

import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from importlib.metadata import requires, version
from pathlib import Path

import httpx
import pytest
import yaml
from packaging.requirements import Requirement
from PIL import Image

import tools.space.commands as commands
from common.errors import InputError
from tools.imports import find_modules
from tools.space.commands import write_space
from tools.space.requirements import choose_pins, read_pins, requirements_text

ROOT = Path(__file__).parents[3]
BUNDLES = sorted(path.parents[1] for path in ROOT.glob("bundles/*/configs/metadata.json"))
START_S = 90


@pytest.fixture(scope="module")
def write(tmp_path_factory) -> Callable[[Path], Path]:
    """Function that writes the Space of a bundle, once."""

    @cache
    def write_once(bundle: Path) -> Path:
        target = tmp_path_factory.mktemp("spaces") / bundle.name
        write_space(bundle, target)
        return target

    return write_once


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda path: path.name)
def folder(request, write) -> Path:
    return write(request.param)


@pytest.fixture(scope="module")
def livecell(write) -> Path:
    return write(ROOT / "bundles/swinunet_livecell")


@pytest.fixture
def untrained(tmp_path) -> Path:
    (tmp_path / "mine/configs").mkdir(parents=True)
    (tmp_path / "mine/configs/metadata.json").write_text("{}")
    return tmp_path / "mine"


def test_front_matter_is_what_the_hub_asks_for(folder):
    front = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert {"sdk": "docker", "app_port": 7860, "pinned": False}.items() <= front.items()
    assert f"EXPOSE {front['app_port']}\n" in (folder / "Dockerfile").read_text()
    assert front["title"] and front["emoji"] and len(front["short_description"]) <= 60
    assert {front["colorFrom"], front["colorTo"]} <= {"red", "yellow", "green", "blue", "indigo", "purple", "pink"}
    assert front["license"] in ("mit", "cc-by-4.0")


def test_requirements_are_pinned_and_are_those_of_serving(folder):
    first, *lines = (folder / "requirements.txt").read_text().splitlines()
    assert first == "--extra-index-url https://download.pytorch.org/whl/cpu"
    for requirement in map(Requirement, lines):
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier))
    names = {Requirement(line).name for line in lines}
    assert {"torch", "monai", "fastapi", "uvicorn", "python-multipart", "tifffile", "nibabel"} <= names
    assert not names & {"pytest", "mlflow", "optuna", "gradio"}


def test_pins_can_be_installed_together(folder):
    pins = read_pins((folder / "requirements.txt").read_text())
    installed = {name: version(name).partition("+")[0] for name in pins}  # only of these is known what they ask for
    for package in (name for name, pin in pins.items() if installed[name] == pin):
        for asked in map(Requirement, requires(package) or []):
            if asked.name in pins and (asked.marker is None or asked.marker.evaluate({"extra": ""})):
                assert pins[asked.name] in asked.specifier, f"{package} asks for {asked}"


def test_every_import_of_ours_lies_in_the_folder(livecell):
    folder = livecell
    modules = sorted((folder / "tools").rglob("*.py"))
    imported = "".join(path.read_text(encoding="utf-8") for path in modules)
    for name in set(re.findall(r"^\s*(?:from|import) (tools(?:\.\w+)*)", imported, re.MULTILINE)):
        place = folder.joinpath(*name.split("."))
        assert place.with_suffix(".py").is_file() or (place / "__init__.py").is_file(), name
    command = [sys.executable, "-c", "import tools.serve.app as app, tools.serve.commands; print(app.__file__)"]
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith(str(folder)), done.stderr


def test_holds_what_belongs_to_the_bundle_and_no_more(folder):
    files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    bundle = Path("bundles") / folder.name
    assert {bundle / "models/model.pt", bundle / "configs/inference.json", bundle / "LICENSE"} <= files
    assert not [path for path in files if "__pycache__" in path.parts]
    assert any(path.parts[:2] == ("samples", folder.name) for path in files)
    assert {path.parts[0] for path in files} == {
        *("Dockerfile", "README.md", "app.py", "bundles", "common", "requirements.txt", "samples", "tools")
    }


@pytest.mark.thorough
def test_starts_alone_and_segments_a_sample(livecell, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(livecell, moved)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "log"
    environment = _environment() | {"PORT": str(port), "HOST": "127.0.0.1", "OMP_NUM_THREADS": "2"}
    with log.open("w") as file:
        server = subprocess.Popen([sys.executable, "app.py"], cwd=moved, env=environment, stdout=file, stderr=file)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, server, log)
        sample = min((moved / "samples/swinunet_livecell").iterdir())
        answer = httpx.post(f"{url}/seg_mask", files={"image": (sample.name, sample.read_bytes())}, timeout=60)
        assert answer.status_code == 200, answer.text
        with Image.open(io.BytesIO(answer.content)) as mask, Image.open(sample) as image:
            assert mask.format == "PNG" and mask.size == image.size
    finally:
        server.terminate()
        server.wait(20)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty; choose another folder"):
        write_space(ROOT / "bundles/swinunet_livecell", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_bundle_without_weights_is_told_what_to_do(untrained, tmp_path):
    with pytest.raises(InputError, match="no models/model.pt; train it, or download it"):
        write_space(untrained, tmp_path / "space")


def test_a_space_that_fails_on_the_way_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise InputError("on the way")

    monkeypatch.setattr(commands, "sample_images", fail)
    with pytest.raises(InputError, match="on the way"):
        write_space(ROOT / "bundles/swinunet_livecell", tmp_path / "space")
    assert not any(tmp_path.iterdir())


def test_closure_follows_modules_of_packages_and_late_imports(tmp_path):
    for name, text in {
        "pack/__init__.py": "",
        "pack/start.py": "from pack import named\nimport json",
        "pack/named.py": "def late():\n    import pack.deep.last\n    from .deep import side",
        "pack/deep/__init__.py": "",
        "pack/deep/last.py": "from ..upper import value",
        "pack/deep/side.py": "from . import twin",
        "pack/deep/twin.py": "import pack.start",
        "pack/upper.py": "",
        "pack/other.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = [path.relative_to(tmp_path).as_posix() for path in find_modules([tmp_path / "pack/start.py"], tmp_path)]
    names = ("__init__", "deep/__init__", "deep/last", "deep/side", "deep/twin", "named", "start", "upper")
    assert found == [f"pack/{name}.py" for name in names]


def test_pins_are_found_however_a_name_is_spelt():
    pins = read_pins("# a comment\nPyYAML==6.0.3\nhuggingface_hub==2.4.0  # why\nloose>=1\n")
    assert pins == {"pyyaml": "6.0.3", "huggingface-hub": "2.4.0"}
    with pytest.raises(InputError, match="not-there-at-all: neither pinned in requirements.txt nor installed"):
        choose_pins(["not_there_at_all"], pins)
    assert requirements_text({"a": "1"}).splitlines()[1:] == ["a==1"]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
        "PYTHONDONTWRITEBYTECODE": "1"
    }


def _wait(url: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"no answer after {START_S} s: {log.read_text()}")
