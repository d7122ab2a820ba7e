"""Folders of small truths and results."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

TRUTH = np.kron(np.array([[1, 1, 0], [0, 2, 3]]), np.ones((2, 2), int)).astype(np.uint16)
RESULT = np.kron(np.array([[7, 7, 0], [8, 8, 0]]), np.ones((2, 2), int)).astype(np.uint16)  # SEG (1 + 0.5 + 0) / 3
MARKERS = np.kron(np.array([[5, 0, 0], [0, 6, 4]]), np.ones((2, 2), int)).astype(np.uint16)  # DET 1 - 10 / 30


@pytest.fixture
def folders(put: Callable, tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Function that writes truth, markers and results of a sequence of flat frames, and returns the two folders."""

    def write(name: str = "01", frames: tuple[int, ...] = (0, 1), without: str = "") -> tuple[Path, Path]:
        for frame in frames:
            files = {
                "SEG": (f"{name}_GT/SEG/man_seg{frame:03d}.tif", TRUTH),
                "TRA": (f"{name}_GT/TRA/man_track{frame:03d}.tif", MARKERS),
                "RES": (f"{name}_RES/mask{frame:03d}.tif", RESULT),
            }
            for kind, (path, labels) in files.items():
                if kind != without:
                    put(path, labels)
        return tmp_path / "source" / f"{name}_GT", tmp_path / "source" / f"{name}_RES"

    return write
