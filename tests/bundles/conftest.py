"""What the tests of every bundle need."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def unchanged_process() -> Iterator[None]:
    """Undo what running a workflow leaves behind in the process: log handlers, determinism."""
    handlers, level = list(logging.root.handlers), logging.root.level
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.use_deterministic_algorithms(False)
    logging.root.handlers, logging.root.level = handlers, level
