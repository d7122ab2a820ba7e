"""From slides on disk to masks, polygons and tables, through the configs; bad input ends with one clear error."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from crypt_unet.network import CryptNet
from skimage.draw import disk
from torch import nn

from common.labels.run_lengths import decode_rle
from tests.refusals import refusing
from tests.tables import read_records, read_rows
from tools.convert.crypts import crypts as convert_crypts
from tools.convert.geojson import find_polygons, rasterise
from tools.sample.crypts import crypts

ROOT = Path(__file__).parents[3] / "bundles" / "crypt_unet"
PURPLE, GREEN = (150, 80, 160), (80, 170, 90)


class GreenIsCrypt(nn.Module):
    """A stand-in for the trained network."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return (image[:, 1:2] - image[:, 0:1]) / 4


@pytest.fixture
def infer(run_workflow: Callable) -> Callable[..., Path]:
    """Function that runs inference.json on a folder of slides with the stand-in; returns the folder of results."""
    return lambda folder, **overrides: run_workflow(
        "inference", dataset_dir=folder, network=GreenIsCrypt(), **overrides
    )


def slide(height: int = 300, width: int = 420) -> np.ndarray:
    """Purple tissue with two green crypts."""
    pixels = np.full((height, width, 3), PURPLE, np.uint8)
    for centre in ((100, 120), (200, 300)):
        pixels[disk(centre, 48, shape=(height, width))] = GREEN
    return pixels


def test_a_slide_becomes_mask_polygons_run_lengths_table_and_picture(write_image, infer):
    pixels = slide()
    write_image("slides/one.tiff", pixels, resolution=(20000, 20000), resolutionunit=3)
    results = infer(write_image("slides/two.tif", np.full((64, 80, 3), 240, np.uint8)).parent, downsample=2)
    kinds = ("mask.tiff", "crypts.geojson", "crypts.csv", "overlay.png")
    expected = {f"{stem}_{kind}" for stem in ("one", "two") for kind in kinds} | {"rle.csv"}
    assert {path.name for path in results.iterdir()} == expected
    truth, mask = (pixels == GREEN).all(axis=-1), tifffile.imread(results / "one_mask.tiff") > 0
    assert mask.shape == truth.shape
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.97
    rows = read_records(results / "one_crypts.csv")
    np.testing.assert_allclose([float(row["area_um2"]) for row in rows], np.pi * 24**2, rtol=0.05)
    encodings = {row["id"]: row["predicted"] for row in read_records(results / "rle.csv")}
    np.testing.assert_array_equal(decode_rle(encodings["one"], mask.shape), mask)
    polygons = find_polygons(json.loads((results / "one_crypts.geojson").read_text()))
    assert len(polygons) == 2
    assert (rasterise(polygons, mask.shape) != mask).mean() < 0.002, "outlines are thinned by half a pixel at most"


def test_a_slide_of_glass_has_no_crypts(write_image, infer):
    results = infer(write_image("slides/glass.tiff", np.full((200, 200, 3), 240, np.uint8)).parent)
    assert not tifffile.imread(results / "glass_mask.tiff").any()
    assert json.loads((results / "glass_crypts.geojson").read_text())["features"] == []
    assert len((results / "glass_crypts.csv").read_text().splitlines()) == 1
    assert (results / "rle.csv").read_text().splitlines() == ["id,predicted", "glass,0 0"]


def test_a_slide_smaller_than_a_patch(write_image, infer):
    pixels = slide()[:160, :180]
    results = infer(write_image("slides/small.tiff", pixels).parent, downsample=4)
    mask = tifffile.imread(results / "small_mask.tiff") > 0
    assert mask.shape == (160, 180)
    assert abs(int(mask.sum()) - int((pixels == GREEN).all(axis=-1).sum())) < 0.05 * mask.sum()


def test_small_things_are_no_crypts(write_image, infer):
    results = infer(write_image("slides/a.tiff", slide()).parent, downsample=2, min_crypt_area=2000)
    assert not tifffile.imread(results / "a_mask.tiff").any()


def test_one_bad_slide_is_told_before_the_first_is_segmented(write_image, infer, tmp_path):
    write_image("slides/a.tiff", slide())
    write_image("slides/b.tiff", np.zeros((64, 64), np.uint8))
    folder = write_image("slides/c.tiff", np.zeros((64, 64, 3), np.uint16)).parent
    with refusing("^2 of 3 slides cannot be read, so none was: ", "b.tiff: 1 samples", "c.tiff: 3 samples"):
        infer(folder)
    assert not (tmp_path / "output").exists()


def test_training_without_a_connection_ends_before_it_begins(open_workflow, tmp_path, monkeypatch):
    def no_connection(name: str, weights: str):
        raise OSError("no route to host")

    monkeypatch.setattr("crypt_unet.common.training.encoder_weights.get_encoder", no_connection)
    crypts(str(tmp_path / "source"), num_slides=2, size=256)
    convert_crypts(tmp_path / "source", tmp_path / "dataset", folds=2)
    options = {"dataset_dir": str(tmp_path / "dataset"), "encoder": "resnet18", "patch_size": [32, 32]}
    workflow = open_workflow("train", **options)
    workflow.initialize()
    with refusing("give --encoder_weights none"):
        workflow.run()
    assert not (tmp_path / "output" / "resume.pt").exists()


@pytest.mark.slow
def test_training_on_all_folds_keeps_the_last_weights(open_workflow, tmp_path):
    crypts(str(tmp_path / "source"), num_slides=2, size=256)
    convert_crypts(tmp_path / "source", tmp_path / "dataset", folds=2)
    options = {"encoder": "resnet18", "patch_size": [32, 32], "max_epochs": 1, "encoder_weights": "none"}
    options |= {"patches_per_epoch": 8}
    workflow = open_workflow("train", dataset_dir=str(tmp_path / "dataset"), fold="none", **options)
    workflow.initialize()
    workflow.run()
    kept = torch.load(tmp_path / "output" / "model.pt", weights_only=True)
    last = torch.load(tmp_path / "output" / "resume.pt", weights_only=True)["network"]
    assert all(torch.equal(value, last[name]) for name, value in kept.items())


@pytest.mark.thorough
def test_fine_tuning_learns_in_fewer_steps_than_training_from_scratch(open_workflow, tmp_path):
    """On slides of a stain that the shipped weights have not seen."""
    crypts(str(tmp_path / "source"), num_slides=2, size=768)
    convert_crypts(tmp_path / "source", tmp_path / "dataset", folds=2)
    knobs = {"downsample": 4, "patch_size": [96, 96], "learning_rate": 0.001, "encoder_weights": "none"}
    knobs |= {"max_epochs": 6, "patches_per_epoch": 16, "warmup_epochs": 1, "val_interval": 6}
    knobs |= {"test_time_augmentation": False}
    dice = []
    for start in (str(ROOT / "models" / "model.pt"), "none"):
        folder = str(tmp_path / f"from_{start[-3:]}")
        paths = {"dataset_dir": str(tmp_path / "dataset"), "output_dir": folder, "finetune_checkpoint": start}
        workflow = open_workflow("train", **paths, **knobs)
        workflow.initialize()
        workflow.run()
        dice.append(torch.load(Path(folder) / "resume.pt", weights_only=True)["progress"]["best_metric"])
    assert dice[0] > dice[1] + 0.2


@pytest.mark.slow
def test_evaluation_of_an_ensemble_of_two(open_workflow, tmp_path):
    crypts(str(tmp_path / "source"), num_slides=1, size=256)
    convert_crypts(tmp_path / "source", tmp_path / "dataset", test=["all"])
    torch.save(CryptNet("unet", "resnet18").state_dict(), tmp_path / "a.pt")
    torch.save(CryptNet("deeplabv3plus", "resnet18").state_dict(), tmp_path / "b.pt")
    workflow = open_workflow(
        "train",
        "evaluate",
        dataset_dir=str(tmp_path / "dataset"),
        encoder="resnet18",
        ckpt_path=str(tmp_path / "a.pt"),
        ensemble=[{"architecture": "deeplabv3plus", "encoder": "resnet18", "ckpt_path": str(tmp_path / "b.pt")}],
    )
    workflow.initialize()
    workflow.run()
    scores = dict(read_rows(tmp_path / "output" / "metrics.csv"))
    assert {"dice", "iou", "patch_dice", "patch_iou"} <= scores.keys()
