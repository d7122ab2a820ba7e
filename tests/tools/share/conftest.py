"""What the tests of sharing share."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

BUNDLES = Path(__file__).parents[3] / "bundles"


@pytest.fixture
def shared_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps what loads networks, made for a process of its own, from leaving other folders and modules behind."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("devonet_nsn", "sam_myelin"):
        import_module(name)
