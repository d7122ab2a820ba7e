"""Helpers that draw small volumes and datalists."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# fixtures of these tests, too: some of what is common shows only in a bundle that runs
from tests.bundles.conftest import BUNDLES, open_workflow, unchanged_process  # noqa: F401


@pytest.fixture
def bundle_root() -> Path:
    """Root of a bundle that uses most of what is common."""
    return BUNDLES / "devonet_nsn"


@pytest.fixture
def write_datalist(tmp_path: Path) -> Callable[..., Path]:
    """Function that writes a dataset.json and an empty file for each of its volumes; returns the folder."""

    def write(content: Any, *, with_files: bool = True) -> Path:
        (tmp_path / "dataset.json").write_text(json.dumps(content))
        items = content.get("training", []) + content.get("testing", []) if with_files else []
        for name in (item[key] for item in items for key in ("image", "label", "markers") if key in item):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return write
