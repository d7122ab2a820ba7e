"""Helpers that draw small volumes and datalists; the package itself is on the path by tests/conftest.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigWorkflow

from tools.convert.ctc import convert_ctc
from tools.sample.ctc import write_sample
from tools.sample.embryo import SPACING_UM

ROOT = Path(__file__).parents[3] / "bundles" / "devonet_nsn"


@pytest.fixture
def bundle_root() -> Path:
    """Root folder of the bundle."""
    return ROOT


@pytest.fixture(scope="session")
def embryos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three synthetic embryos of one frame: folds 0 and 1, and one for testing."""
    folder = tmp_path_factory.mktemp("embryos")
    write_sample(folder / "ctc", num_sequences=3, num_frames=1)
    convert_ctc(folder / "ctc", folder / "dataset", spacing=SPACING_UM, num_folds=2, test=["03"])
    return folder / "dataset"


@pytest.fixture
def open_workflow(tmp_path: Path) -> Callable[..., ConfigWorkflow]:
    """Function that opens a workflow of the bundle by the name of its config, with overrides as from Python."""

    def open_config(name: str, **overrides: Any) -> ConfigWorkflow:
        return ConfigWorkflow(
            config_file=str(ROOT / "configs" / f"{name}.json"),
            workflow_type="infer" if name == "inference" else "train",
            logging_file=False,
            **{"bundle_root": str(ROOT), "output_dir": str(tmp_path / "output")} | overrides,
        )

    return open_config
