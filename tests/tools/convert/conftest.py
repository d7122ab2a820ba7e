"""Converting what the helpers have drawn."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

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
