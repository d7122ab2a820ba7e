"""Real networks in blocks that cut through objects find what they find in the whole image."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile

from common.labels.objects import match_objects
from tools.convert.nifti import write_volume
from tools.sample.embryo import SPACING_UM, draw_image, draw_labels, place_nuclei
from tools.sample.nerve import draw_nerve
from tools.sample.phase_contrast import CELL_TYPES, draw_field
from tools.segment.commands import segment
from tools.segment.results import read_mask

pytestmark = pytest.mark.slow

CELLS = {"roi_size": [224, 224], "test_time_augmentation": False}
CELL_BLOCKS = "110,230"


def assert_equal(whole: Path, parts: Path, ending: str) -> None:
    masks = [read_mask(whole / f"a_mask{ending}")[0] > 0, read_mask(parts / "a_mask.ome.zarr")[0] > 0]
    assert (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum() >= 0.999
    assert_same_objects(whole, parts, ending)


def assert_same_objects(whole: Path, parts: Path, ending: str, kind: str = "instances") -> None:
    labels = [read_mask(whole / f"a_{kind}{ending}")[0], read_mask(parts / f"a_{kind}.ome.zarr")[0]]
    found, num_parts, num_whole = match_objects(*labels, min_iou=0.9)
    assert num_whole > 20 and 2 * found / (num_parts + num_whole) >= 0.99
    assert sorted(np.unique(labels[1])) == list(range(num_whole + 1))


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A picture of cells, and the results of the whole of it."""
    folder = tmp_path_factory.mktemp("cells")
    picture, _ = draw_field(np.random.default_rng(0), next(iter(CELL_TYPES.values())))
    tifffile.imwrite(folder / "a.tif", picture[:330, :520], photometric="minisblack")
    segment("swinunet_livecell", str(folder / "a.tif"), str(folder / "whole"), **CELLS)
    return folder / "a.tif", folder / "whole"


def test_cells_on_two_processes_of_which_one_is_killed(cells, tmp_path):
    image, whole = cells
    killed = []

    def kill_one() -> None:
        while not list(tmp_path.glob(".blocks-a/0*.npz")):
            time.sleep(0.05)
        workers = [one for one in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(one.cmdline())]
        os.kill(workers[0].pid, signal.SIGKILL)
        killed.append(workers[0].pid)

    threading.Thread(target=kill_one, daemon=True).start()
    segment("swinunet_livecell", str(image), str(tmp_path), blocks=CELL_BLOCKS, workers="2", **CELLS)
    assert killed
    assert_equal(whole, tmp_path, ".png")


BETWEEN_VOXELS = (1.9, 0.73, 0.61)  # spacing, at which windows begin there


@pytest.fixture(scope="module")
def embryos(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long volume of nuclei of a given spacing."""
    path = tmp_path_factory.mktemp("embryos") / "a.nii"
    rows = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        rows.append(draw_image(rng, draw_labels(*place_nuclei(rng, 9)))[:, 10:42, :60])
    write_volume(path, np.concatenate(rows, axis=2), request.param)
    return path


@pytest.mark.parametrize(
    "embryos", [pytest.param(SPACING_UM, marks=pytest.mark.thorough), BETWEEN_VOXELS], indirect=True
)
def test_nuclei(embryos, tmp_path):
    given = {"roi_size": [32, 32, 32]}
    segment("nuclei", str(embryos), str(tmp_path / "whole"), **given)
    segment("nuclei", str(embryos), str(tmp_path / "parts"), blocks="24,32,150", **given)
    assert_equal(tmp_path / "whole", tmp_path / "parts", ".nii.gz")


@pytest.mark.parametrize("embryos", [BETWEEN_VOXELS], indirect=True)
def test_nuclei_slice_by_slice(embryos, tmp_path):
    segment("maskrcnn_2p5d", str(embryos), str(tmp_path / "whole"))
    segment("maskrcnn_2p5d", str(embryos), str(tmp_path / "parts"), blocks="24,32,150")
    assert_same_objects(tmp_path / "whole", tmp_path / "parts", ".nii.gz")


@pytest.mark.thorough
def test_fibres_of_a_size_that_is_estimated(tmp_path):
    pixels, _, _ = draw_nerve(np.random.default_rng(0), 900)
    tifffile.imwrite(tmp_path / "a.tif", pixels.astype(np.uint16) * 100 + 500, photometric="minisblack")
    segment("sam_myelin", str(tmp_path / "a.tif"), str(tmp_path / "whole"))
    segment("sam_myelin", str(tmp_path / "a.tif"), str(tmp_path / "parts"), blocks="330,450")
    whole = read_mask(tmp_path / "whole" / "a_axonmyelin.png")[0]
    assert (read_mask(tmp_path / "parts" / "a_axonmyelin.ome.zarr")[0] == whole).mean() >= 0.999
    assert_same_objects(tmp_path / "whole", tmp_path / "parts", ".png", "fibres")
    paths = [tmp_path / folder / "a_morphometrics.csv" for folder in ("whole", "parts")]
    tables = [np.sort(np.genfromtxt(path, delimiter=",", names=True), order=["y_px", "x_px"]) for path in paths]
    assert len(tables[0]) == len(tables[1])
    for name in ("y_px", "x_px", "g_ratio", "touches_border"):
        assert np.isclose(tables[0][name], tables[1][name], rtol=0.01, equal_nan=True).mean() >= 0.99
