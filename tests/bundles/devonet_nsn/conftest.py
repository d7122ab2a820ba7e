"""Helpers that draw small volumes and datalists; the package itself is on the path by tests/conftest.py."""

from pathlib import Path

import pytest

from tools.convert.ctc import ctc as convert_ctc
from tools.sample.ctc import ctc
from tools.sample.embryo import SPACING_UM

ROOT = Path(__file__).parents[3] / "bundles" / "devonet_nsn"


@pytest.fixture(scope="session")
def embryos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three synthetic embryos of one frame: folds 0 and 1, and one for testing."""
    folder = tmp_path_factory.mktemp("embryos")
    ctc(str(folder / "ctc"), num_sequences=3, num_frames=1)
    convert_ctc(folder / "ctc", folder / "dataset", spacing=SPACING_UM, folds=2, test=["03"])
    return folder / "dataset"
