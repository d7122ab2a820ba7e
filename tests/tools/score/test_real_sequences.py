"""On real embryos the scores are those of py-ctcmetrics, whatever is wrong with the result."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy.ndimage import grey_erosion

from tests.common.labels.images import oracle_of_files
from tools.score.commands import score_folders
from tools.score.summary import summarise

DATASET = Path(__file__).parents[4] / "shared" / "data" / "nuclei3d" / "test"
pytestmark = pytest.mark.skipif(not DATASET.is_dir(), reason="the real data are not here")


def dropped(labels):
    return np.where(labels % 3 == 0, 0, labels)


def merged(labels):
    return (labels + 1) // 2


def eroded(labels):
    return grey_erosion(labels, 3)


def split(labels):
    """Every object cut at one plane, mostly into unequal pieces."""
    above = np.arange(labels.shape[2]) > labels.shape[2] // 2
    return np.where((labels > 0) & above, labels + 100, labels)


def moved(labels):
    return np.roll(labels, (1, 4), axis=(0, 2))


@pytest.mark.parametrize("perturb", [dropped, merged, eroded, split, moved])
@pytest.mark.parametrize("sequence", ["01", "02"])
def test_perturbed_copy(tmp_path, sequence, perturb):
    truth = DATASET / f"{sequence}_GT"
    segmentations, markers = sorted(truth.glob("SEG/*.tif"))[::4], sorted(truth.glob("TRA/*.tif"))[::4]
    for path in segmentations:
        for kind, original in (("SEG", path), ("TRA", truth / "TRA" / path.name.replace("seg", "track"))):
            (tmp_path / "01_GT" / kind).mkdir(parents=True, exist_ok=True)
            (tmp_path / "01_GT" / kind / original.name).symlink_to(original.resolve())
    (tmp_path / "01_RES").mkdir()
    results = [tmp_path / "01_RES" / path.name.replace("man_seg", "mask") for path in segmentations]
    for path, result in zip(segmentations, results, strict=True):
        tifffile.imwrite(result, perturb(tifffile.imread(path)), photometric="minisblack")
    (frames,) = score_folders(tmp_path / "01_GT", tmp_path / "01_RES").values()
    ours = summarise(frames)
    assert ours["seg"] == pytest.approx(oracle_of_files(segmentations, results)[0], abs=1e-12)
    assert ours["det"] == pytest.approx(oracle_of_files(markers, results)[1], abs=1e-12)
    assert 0 < ours["seg"] < 1
