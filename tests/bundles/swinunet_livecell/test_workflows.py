"""From images on disk to masks, cells and scores, through the configs; bad input ends with one clear error."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import distance_transform_edt
from skimage.draw import disk
from torch import nn

from tests.refusals import refusing
from tests.tables import read_records, read_rows

BACKGROUND, CELL = 100, 160
CENTRES = ((60, 70), (60, 100), (150, 250))
ROOT = Path(__file__).parents[3] / "bundles" / "swinunet_livecell"


class BrightIsCell(nn.Module):
    """A stand-in for the trained network; the background is at 0 after scaling, and no pixel is a border."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        cell = 8 * (image - 1)
        distance = distance_transform_edt(np.pad(cell.numpy() > 0, ((0, 0), (0, 0), (1, 1), (1, 1))), [9, 9, 1, 1])
        depth = torch.from_numpy(distance[..., 1:-1, 1:-1]).float() / max(1, distance.max())
        return torch.cat([cell, torch.logit(depth, eps=1e-4), torch.full_like(cell, -10)], dim=1)


@pytest.fixture
def run(run_workflow: Callable) -> Callable[..., Path]:
    """Function that runs a workflow with the stand-in network and gives the folder of results."""
    return partial(run_workflow, network=BrightIsCell())


def cells(height: int = 210, width: int = 300) -> np.ndarray:
    """Labels of three cells, two of which touch."""
    labels = np.zeros((height, width), np.uint16)
    for number, centre in enumerate(CENTRES, start=1):
        labels[disk(centre, 18, shape=labels.shape)] = number
    return labels


def photograph(labels: np.ndarray) -> np.ndarray:
    return np.where(labels > 0, CELL, BACKGROUND).astype(np.uint8)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


@pytest.fixture
def write_dataset(write_image: Callable, tmp_path: Path) -> Callable[..., Path]:
    """Function that writes items (section, image, labels, further keys) as a dataset."""

    def write(*items: tuple[str, np.ndarray, np.ndarray, dict]) -> Path:
        content: dict[str, list] = {"training": [], "testing": []}
        for number, (section, image, labels, further) in enumerate(items):
            paths = {"image": f"i{number}.png", "label": f"l{number}.png"}
            write_image(f"data/{paths['image']}", image)
            write_image(f"data/{paths['label']}", labels)
            content[section].append(paths | further)
        (tmp_path / "data" / "dataset.json").write_text(json.dumps({"name": "drawn", "licence": "none"} | content))
        return tmp_path / "data"

    return write


@pytest.mark.parametrize("mode", ["crop", "resize"])
def test_every_image_of_a_folder_becomes_a_mask_of_its_own_size(write_image, run, mode):
    truths = {"small": cells(100, 140), "large": cells(210, 300), "tall": cells(520, 300)}
    for name, labels in truths.items():
        folder = write_image(f"images/{name}.png", photograph(labels)).parent
    results = run("inference", dataset_dir=folder, mode=mode)
    kinds = ("mask.png", "instances.png", "cells.csv")
    names = {f"{name}_{kind}" for name in truths for kind in kinds}
    assert {path.name for path in results.iterdir()} == names | {"summary.csv"}
    for name, labels in truths.items():
        mask = np.array(Image.open(results / f"{name}_mask.png"))
        assert mask.dtype == np.uint8
        assert set(np.unique(mask)) == {0, 255}
        assert iou(mask > 0, labels > 0) > (0.999 if mode == "crop" else 0.85)


def test_cells_are_told_apart_and_probabilities_written_on_request(write_image, run):
    labels = cells()
    folder = write_image("images/a.png", photograph(labels)).parent
    results = run("inference", dataset_dir=folder, save_probability=True)
    found = np.array(Image.open(results / "a_instances.png"))
    assert found.max() == 3, "two of the three cells touch"
    assert [iou(found == found[centre], labels == labels[centre]) > 0.9 for centre in CENTRES] == [True] * 3
    probability = np.array(Image.open(results / "a_prob.png"))
    assert probability.dtype == np.uint16
    assert (probability[labels > 0] > 2**15).all()


@pytest.mark.parametrize("diameter", [27, 80])
def test_cells_of_another_magnification_are_brought_to_the_trained_size(write_image, run, diameter):
    labels = cells()
    folder = write_image("images/a.png", photograph(labels)).parent
    results = run("inference", dataset_dir=folder, cell_diameter=diameter, min_area=5, pixel_size_um=2.0)
    assert iou(np.array(Image.open(results / "a_mask.png")) > 0, labels > 0) > 0.95
    for row in read_records(results / "a_cells.csv"):
        assert float(row["area_um2"]) == 4 * float(row["area"])


def test_cells_of_the_size_that_is_given_are_as_expected(write_image, run, caplog):
    labels = cells()[::6, ::6]
    diameter = 2 * float(np.sqrt(np.median(np.bincount(labels.ravel())[1:]) / np.pi))
    folder = write_image("images/a.png", photograph(labels)).parent
    results = run("inference", dataset_dir=folder, cell_diameter=diameter, min_area=5)
    assert len(read_records(results / "a_cells.csv")) > 1 and "magnification" not in caplog.text


def test_cells_without_a_size(write_image, run):
    folder = write_image("images/a.png", photograph(cells(100, 140))).parent
    with refusing("--cell_diameter 0: expected a number above 0, or none"):
        run("inference", dataset_dir=folder, cell_diameter=0)


def test_knobs_of_the_splitting_reach_it(write_image, run):
    folder = write_image("images/a.png", photograph(cells())).parent
    results = run("inference", dataset_dir=folder, min_dip=0.9)
    assert np.array(Image.open(results / "a_instances.png")).max() == 2, "no neck is so narrow"


def test_only_the_mask_on_request(write_image, run):
    folder = write_image("images/a.png", photograph(cells())).parent
    results = run("inference", dataset_dir=folder, save_instances=False)
    assert [path.name for path in results.iterdir()] == ["a_mask.png"]


def test_table_has_a_line_per_cell_in_the_gray_values_of_the_file(write_image, run):
    labels = cells()
    folder = write_image("images/a.png", photograph(labels)).parent
    results = run("inference", dataset_dir=folder)
    rows = read_records(results / "a_cells.csv")
    assert [float(row["mean"]) for row in rows] == [CELL] * 3
    assert sum(float(row["area"]) for row in rows) == pytest.approx((labels > 0).sum(), rel=0.01)
    (summary,) = read_records(results / "summary.csv")
    assert (summary["image"], summary["cells"]) == ("a", "3")
    assert float(summary["confluence"]) == pytest.approx((labels > 0).mean(), rel=0.01)
    places = {(round(float(row["y"]), -1), round(float(row["x"]), -1)) for row in rows}
    assert places == set(CENTRES)


def test_sixteen_bit_images_give_the_same_mask(write_image, run):
    image = photograph(cells())
    write_image("images/a.png", image)
    folder = write_image("images/b.tif", image.astype(np.uint16) * 200 + 1000).parent
    results = run("inference", dataset_dir=folder)
    assert (results / "a_mask.png").read_bytes() == (results / "b_mask.png").read_bytes()


def test_bad_images_are_all_told_before_the_first_is_segmented(write_image, run, tmp_path):
    write_image("images/a.png", photograph(cells()))
    write_image("images/b.png", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    folder = write_image("images/c.png", photograph(cells())).parent
    (folder / "c.png").write_bytes((folder / "c.png").read_bytes()[:-200])
    told = "^2 of 3 images cannot be segmented, so none was: "
    with refusing(told, "b.png: 3 channels", "c.png: cannot be read"):
        run("inference", dataset_dir=folder)
    assert not (tmp_path / "output").exists()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["crop", "resize"])
def test_evaluation_at_the_original_size_by_cell_type(write_dataset, run, mode):
    labels, empty = cells(), np.zeros((210, 300), np.uint16)
    shifted = np.roll(labels, 6, axis=1)
    folder = write_dataset(
        ("testing", photograph(labels), labels, {"cell_type": "A172"}),
        ("testing", photograph(labels), shifted, {"cell_type": "SKOV3"}),
        ("testing", photograph(empty), empty, {"cell_type": "SKOV3"}),
        ("testing", photograph(labels), labels, {}),
    )
    results = run("train", "evaluate", dataset_dir=folder, pretrained=False, mode=mode)
    rows = {row["cell_type"]: row for row in read_records(results / "per_cell_type.csv")}
    assert {name: int(row["n"]) for name, row in rows.items()} == {"A172": 1, "SKOV3": 2, "unknown": 1, "all": 4}
    tolerance = 0.001 if mode == "crop" else 0.15
    expected = {"A172": 1.0, "SKOV3": (iou(labels > 0, shifted > 0) + 1) / 2, "unknown": 1.0}
    assert {n: float(rows[n]["iou_mean"]) for n in expected} == pytest.approx(expected, abs=tolerance)
    per_image = [float(line.split(",")[1]) for line in (results / "iou_raw.csv").read_text().splitlines()[1:]]
    assert per_image[2] == 1, "empty against empty"
    assert float(rows["all"]["iou_mean"]) == pytest.approx(np.mean(per_image), abs=1e-6)
    scores = dict(read_rows(results / "metrics.csv"))
    assert set(scores) == {"iou", "dice", "f1", "seg", "ap50_coco", "ap_coco"}
    if mode == "crop":
        assert float(scores["f1"]) == float(scores["ap50_coco"]) == 1
        assert 0.5 < float(scores["ap_coco"]) < 1 and 0.5 < float(scores["seg"]) < 1


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["crop", "resize"])
def test_training_on_images_smaller_than_a_patch_and_without_cells(write_dataset, open_workflow, tmp_path, mode):
    labels, empty = cells(100, 140), np.zeros((100, 140), np.uint16)
    folder = write_dataset(
        ("training", photograph(labels), labels, {"fold": 0}),
        ("training", photograph(labels), labels, {"fold": 1}),
        ("training", photograph(empty), empty, {"fold": 1}),
    )
    sizes = {"patch_size": [128, 128], "image_size": [64, 64]}
    brief = {"max_epochs": 1, "batch_size": 4, "patches_per_epoch": 8, "encoder_weights": "none"}
    workflow = open_workflow("train", dataset_dir=str(folder), mode=mode, **brief, **sizes)
    workflow.initialize()
    workflow.run()
    progress = torch.load(tmp_path / "output" / "resume.pt", weights_only=True)["progress"]
    assert progress["best_epoch"] == 1


@pytest.mark.slow
def test_a_training_does_not_go_on_in_another_mode(write_dataset, open_workflow):
    labels = cells(100, 140)
    folder = write_dataset(*[("training", photograph(labels), labels, {"fold": fold}) for fold in (0, 1)])
    options = {"dataset_dir": str(folder), "patch_size": [32, 32], "image_size": [32, 32], "max_epochs": 1}
    options |= {"patches_per_epoch": 8, "encoder_weights": "none"}
    for mode in ("crop", "resize"):
        workflow = open_workflow("train", mode=mode, **options)
        workflow.initialize()
        if mode == "crop":
            workflow.run()
    with refusing("resume.pt: belongs to a training with"):
        workflow.run()


@pytest.mark.thorough
def test_training_is_tracked_by_clearml(write_dataset, tmp_path):
    labels = cells(100, 140)
    folder = write_dataset(*[("training", photograph(labels), labels, {"fold": fold}) for fold in (0, 1)])
    # ClearML forks a process for its reports and waits for it without end; forked beside torch's threads, it may hang
    (tmp_path / "clearml.conf").write_text("sdk { development { report_use_subprocess: false } }")
    offline = {
        "CLEARML_OFFLINE_MODE": "1",
        "CLEARML_CACHE_DIR": str(tmp_path / "cache"),
        "CLEARML_CONFIG_FILE": str(tmp_path / "clearml.conf"),
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", "training"]
        + ["--config_file", "['configs/train.json','configs/clearml.json']", "--dataset_dir", str(folder)]
        + ["--output_dir", str(tmp_path / "output"), "--max_epochs", "1", "--patch_size", "[32,32]"]
        + ["--patches_per_epoch", "8", "--encoder_weights", "none"],
        cwd=ROOT,
        env=os.environ | offline,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (session,) = (tmp_path / "cache" / "offline").glob("*.zip")
    with zipfile.ZipFile(session) as file:
        metrics = file.read("metrics.jsonl").decode()
    assert '"iou"' in metrics
    assert '"train_loss"' in metrics
