"""A shipped bundle and a copy of it to break; checks that ask nobody."""

import json
import shutil
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tools.share.checks import CHECKS

BUNDLES = Path(__file__).parents[3] / "bundles"
SHIPPED = BUNDLES / "devonet_nsn"
METADATA = json.loads((SHIPPED / "configs/metadata.json").read_text())
REAL_CHECK = CHECKS["weights"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of a bundle, to break."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.fixture
def quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks for the schema, and one loads weights in a process; test_contract.py does, for all bundles."""
    monkeypatch.setattr("tools.share.checks._schema_problems", lambda metadata: [])
    monkeypatch.setitem(CHECKS, "weights", quick_weights)


def quick_weights(bundle: Path) -> list[str]:
    return [] if (bundle / "models/model.pt").is_file() else REAL_CHECK(bundle)


@pytest.fixture
def shared_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps what loads networks, made for a process of its own, from leaving other folders and modules behind."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("devonet_nsn", "sam_myelin"):
        import_module(name)
