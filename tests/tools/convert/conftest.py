"""Converting what the helpers have drawn."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tools.convert.crypts import convert_crypts
from tools.convert.ctc import convert_ctc

SPACING = (2.0, 0.7, 0.5)


@pytest.fixture
def convert(tmp_path):
    """Function that converts ``tmp_path/source`` to ``tmp_path/out``."""
    return lambda **options: convert_ctc(tmp_path / "source", tmp_path / "out", **{"spacing": SPACING} | options)


@pytest.fixture
def load(tmp_path):
    """Function that reads a volume of the output as (Z, Y, X)."""
    return lambda name: np.asarray(nib.load(tmp_path / "out" / name).dataobj).transpose(2, 1, 0)


@pytest.fixture
def put_slide(put):
    """Function that writes an RGB slide of 40 x 50 pixels, no two alike, or the given one, to ``tmp_path/source``."""

    def write(name: str, pixels: np.ndarray | None = None, **options) -> np.ndarray:
        if pixels is None:
            pixels = np.random.default_rng(sum(name.encode())).integers(70, 210, (40, 50, 3), np.uint8)
        put(name, pixels, **{"photometric": "rgb"} | options)
        return pixels

    return write


@pytest.fixture
def put_text(tmp_path):
    """Function that writes a text file into ``tmp_path``."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


@pytest.fixture
def convert_slides(tmp_path):
    """Function that converts the slides in ``tmp_path/source`` to ``tmp_path/out``."""
    return lambda **options: convert_crypts(tmp_path / "source", tmp_path / "out", **options)
