"""Helpers that draw small datasets as the field ships them, and leave what an evaluation writes."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tools.convert.nifti import write_volume


@pytest.fixture
def sequence(put: Callable, ramp: Callable) -> Callable[..., None]:
    """Function that writes a sequence: images, gold truth and markers of the given frames."""

    def write(name: str = "01", frames: tuple[int, ...] = (0,), digits: int = 3) -> None:
        for frame in frames:
            number = f"{frame:0{digits}d}"
            put(f"{name}/t{number}.tif", ramp(first=1000 * frame))
            put(f"{name}_GT/SEG/man_seg{number}.tif", ramp(first=1000 * frame + 1))
            put(f"{name}_GT/TRA/man_track{number}.tif", ramp(first=1000 * frame + 2))

    return write


@pytest.fixture
def datalist(tmp_path: Path) -> Callable[[], dict]:
    """Function that reads the dataset.json in ``tmp_path/out``."""
    return lambda: json.loads((tmp_path / "out" / "dataset.json").read_text())


@pytest.fixture
def write_scores() -> Callable[..., None]:
    """Function that leaves the files of MONAI's MetricsSaver: metric -> image -> score; ``pooled`` of some metrics."""
    from monai.handlers.utils import write_metrics_reports  # slow to import, and few tests need it

    def write(output_dir: Path, scores: Mapping[str, Mapping[Path, float]], **pooled: float) -> None:
        details = {metric: np.array(list(of.values()), np.float32)[:, None] for metric, of in scores.items()}
        overall = {metric: float(np.nanmean(values)) for metric, values in details.items()}
        images = [str(image) for image in next(iter(scores.values()))]
        write_metrics_reports(str(output_dir), images, overall | pooled, details, "*")

    return write


@pytest.fixture
def image_files(tmp_path: Path) -> Path:
    """One file of each format, under names that tell nothing."""
    Image.fromarray(_noise((4, 5, 3))).save(tmp_path / "png", format="PNG")
    Image.fromarray(_noise((4, 5, 3))).save(tmp_path / "jpeg", format="JPEG")
    tifffile.imwrite(tmp_path / "tiff", _noise((3, 4, 5)), photometric="minisblack")
    write_volume(tmp_path / "a.nii.gz", _noise((3, 4, 5)), (2.0, 1.0, 1.0))
    write_volume(tmp_path / "a.nii", _noise((3, 4, 5)), (2.0, 1.0, 1.0))
    (tmp_path / "a.nii.gz").rename(tmp_path / "nii.gz")
    (tmp_path / "a.nii").rename(tmp_path / "nii")
    return tmp_path


def _noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
