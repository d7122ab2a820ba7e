"""Helpers that write small images and open the bundle's workflows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow

ROOT = Path(__file__).parents[3] / "bundles" / "swinunet_livecell"


@pytest.fixture
def open_workflow(tmp_path: Path) -> Callable[..., ConfigWorkflow]:
    """Function that opens a workflow of the bundle by the names of its configs, with overrides."""

    def open_configs(*names: str, **overrides: Any) -> ConfigWorkflow:
        return ConfigWorkflow(
            config_file=[str(ROOT / "configs" / f"{name}.json") for name in names],
            workflow_type="infer" if names[0] == "inference" else "train",
            logging_file=False,
            **{"bundle_root": str(ROOT), "output_dir": str(tmp_path / "output"), "device": torch.device("cpu")}
            | overrides,
        )

    return open_configs
