"""Helpers that write small images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image


@pytest.fixture
def write_image(tmp_path: Path) -> Callable[..., Path]:
    """Function that writes an array as PNG or TIFF, by the name's ending; options are tifffile's."""

    def write(name: str, pixels: np.ndarray, **options: Any) -> Path:
        path = tmp_path / name
        if path.suffix == ".png":
            Image.fromarray(pixels).save(path)
        else:
            is_rgb = pixels.ndim == 3 and pixels.shape[-1] == 3
            tifffile.imwrite(path, pixels, **({"photometric": "rgb" if is_rgb else "minisblack"} | options))
        return path

    return write
