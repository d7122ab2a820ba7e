"""What the tests of every bundle need."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow

BUNDLES = Path(__file__).parents[2] / "bundles"
INFERENCE = ("inference", "instances")


@pytest.fixture
def bundle_root(request: pytest.FixtureRequest) -> Path:
    """Root of the bundle that a test is of, by the folder that it lies in."""
    return BUNDLES / request.path.parent.name


@pytest.fixture
def open_workflow(bundle_root: Path, tmp_path: Path) -> Callable[..., ConfigWorkflow]:
    """Function that opens a workflow of the bundle by the names of its configs, with overrides as from Python."""

    def open_configs(*names: str, **overrides: Any) -> ConfigWorkflow:
        settings = {"bundle_root": str(bundle_root), "output_dir": str(tmp_path / "output")}
        return ConfigWorkflow(
            [str(bundle_root / "configs" / f"{name}.json") for name in names],
            workflow_type="infer" if names[0] in INFERENCE else "train",
            logging_file=False,
            **settings | {"device": "$torch.device('cpu')"} | overrides,
        )

    return open_configs


@pytest.fixture
def run_workflow(open_workflow: Callable[..., ConfigWorkflow], tmp_path: Path) -> Callable[..., Path]:
    """Function that runs configs on a folder, with a network in place of the bundle's; gives the folder of results."""

    def run(
        *names: str, dataset_dir: Path | None = None, network: torch.nn.Module | None = None, **overrides: Any
    ) -> Path:
        data = {} if dataset_dir is None else {"dataset_dir": str(dataset_dir)}
        workflow = open_workflow(*names, **{"ckpt_path": "none"} | data | overrides)
        workflow.initialize()
        if network is not None:
            workflow.network_def = network  # MONAI's name for the slot
        workflow.run()
        return tmp_path / "output"

    return run


@pytest.fixture(autouse=True)
def unchanged_process() -> Iterator[None]:
    """Undo what running a workflow leaves behind in the process: log handlers, determinism."""
    handlers, level = list(logging.root.handlers), logging.root.level
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.use_deterministic_algorithms(False)
    logging.root.handlers, logging.root.level = handlers, level
