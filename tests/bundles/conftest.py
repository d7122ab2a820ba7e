"""What the tests of every bundle need."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image


@pytest.fixture(autouse=True)
def unchanged_process() -> Iterator[None]:
    """Undo what running a workflow leaves behind in the process: log handlers, determinism."""
    handlers, level = list(logging.root.handlers), logging.root.level
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.use_deterministic_algorithms(False)
    logging.root.handlers, logging.root.level = handlers, level


@pytest.fixture
def write_image(tmp_path: Path) -> Callable[..., Path]:
    """Function that writes an array as PNG or TIFF, by the name's ending; options are tifffile's."""

    def write(name: str, pixels: np.ndarray, **options: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            Image.fromarray(pixels).save(path)
        else:
            is_rgb = pixels.ndim == 3 and pixels.shape[-1] in (3, 4)
            tifffile.imwrite(path, pixels, **({"photometric": "rgb" if is_rgb else "minisblack"} | options))
        return path

    return write
