"""From volumes on disk to instances, tables and scores, through the configs; bad input ends with one clear error."""

import csv
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from maskrcnn_2p5d.common.metrics.objects import ObjectMetric
from maskrcnn_2p5d.objects import COLUMNS

from tests.bundles.maskrcnn_2p5d.stand_ins import Components
from tests.refusals import refusing

AFFINE = np.diag([0.8, 0.8, 2.0, 1.0])
TURNED = np.array([[0, 0.8, 0, 9], [-0.8, 0, 0, 2], [0, 0, 2.0, -7], [0, 0, 0, 1.0]])


def balls(shape: tuple[int, int, int] = (9, 48, 60)) -> np.ndarray:
    """Two balls (Z, Y, X) of 12 um, apart in each slice."""
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    labels = np.zeros(shape, np.uint16)
    for label, centre in enumerate([(4, 16, 16), (4, 30, 42)], start=1):
        distances = ((z - centre[0]) * 2.0) ** 2 + ((y - centre[1]) * 0.8) ** 2 + ((x - centre[2]) * 0.8) ** 2
        labels[distances <= 36] = label
    return labels


def write_dataset(folder: Path, truths: list[np.ndarray], affine: np.ndarray = AFFINE, **changes: np.ndarray) -> Path:
    """Volumes whose objects are bright, all for training in turn in two folds, and for testing; labels may differ."""
    items = []
    for index, truth in enumerate(truths):
        item = {"image": f"a{index}.nii.gz", "label": f"l{index}.nii.gz"}
        noise = np.random.default_rng(index).normal(0, 3, truth.shape)
        nib.save(
            nib.Nifti1Image((100 + 100 * (truth > 0) + noise).astype(np.float32).T, affine), folder / item["image"]
        )
        nib.save(nib.Nifti1Image(changes.get(item["label"][:2], truth).T, affine), folder / item["label"])
        items.append(item)
    training = [item | {"fold": index % 2} for index, item in enumerate(items)]
    (folder / "dataset.json").write_text(json.dumps({"name": "balls", "training": training, "testing": items}))
    return folder


@pytest.fixture
def run(run_workflow: Callable) -> Callable[..., Path]:
    """Function that runs configs on a dataset, with a network in place of the bundle's; gives the folder of results."""
    return partial(run_workflow, cache_rate=0.0)


def read_metrics(folder: Path) -> dict[str, float]:
    lines = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    return {name: float(value) for name, value in lines}


def test_inference_writes_instances_and_their_table_on_the_grid_of_the_image(tmp_path, run):
    truth = balls()
    dataset = write_dataset(tmp_path, [truth], TURNED)
    output = run("inference", dataset_dir=dataset, network=Components(), cache_rate=None)
    saved = nib.load(output / "a0_instances.nii.gz")
    assert saved.shape == truth.T.shape and saved.get_data_dtype() == np.uint16 and np.allclose(saved.affine, TURNED)
    assert saved.header.get_xyzt_units()[0] == "micron"
    labels = np.asarray(saved.dataobj).T
    for number in (1, 2):
        (found,) = set(labels[truth == number].tolist()) - {0}
        assert np.sum((labels == found) & (truth == number)) / np.sum((labels == found) | (truth == number)) > 0.8
    with (output / "a0_objects.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == list(COLUMNS) and [row[0] for row in rows] == ["1", "2"]
    assert [float(row[1]) for row in rows] == pytest.approx([np.sum(labels == n) * 1.28 for n in (1, 2)], rel=1e-4)
    assert [row[3] for row in rows] == ["0.75", "0.75"]
    centroids = [[float(value) for value in row[4:7]] for row in rows]
    assert np.abs(np.sort(centroids, axis=0) - [[8, 12.8, 12.8], [8, 24, 33.6]]).max() < 1
    assert sorted(path.name for path in output.iterdir()) == ["a0_instances.nii.gz", "a0_objects.csv"]


def test_inference_without_detections_writes_an_empty_volume_and_table(tmp_path, run):
    dataset = write_dataset(tmp_path, [balls()])
    output = run("inference", dataset_dir=dataset, network=Components(threshold=1000.0), cache_rate=None)
    assert not np.asarray(nib.load(output / "a0_instances.nii.gz").dataobj).any()
    assert (output / "a0_objects.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_evaluation_writes_every_score(tmp_path, run):
    output = run("train", "evaluate", dataset_dir=write_dataset(tmp_path, [balls(), balls()]), network=Components())
    scores = read_metrics(output)
    assert set(scores) == {"slice_f1", *ObjectMetric.RATIOS}
    assert all(scores[metric] > 0.8 for metric in ("seg", "seg_per_image", "mucov", "iou", "f1", "slice_f1"))
    assert scores["count_error"] == 0
    assert {f"{name}_{file}.csv" for name in scores for file in ("raw", "summary")} <= {
        p.name for p in output.iterdir()
    }


def test_a_volume_without_detections_scores_zero(tmp_path, run):
    dataset = write_dataset(tmp_path, [balls()])
    scores = read_metrics(run("train", "evaluate", dataset_dir=dataset, network=Components(threshold=1000.0)))
    assert scores == dict.fromkeys(("seg", "seg_per_image", "mucov", "iou", "f1", "ap", "slice_f1"), 0) | {
        "count_error": 2
    }


@pytest.mark.slow
def test_training_takes_flat_volumes_and_volumes_without_objects(tmp_path, run):
    flat, empty = balls((1, 48, 60)), np.zeros((2, 48, 60), np.uint16)
    flat[0, 10:30, 10:30] = 1
    dataset = write_dataset(tmp_path, [balls((2, 48, 60)), flat, flat, empty])
    knobs = {"num_slices": 5, "patch_size": [32, 32], "max_epochs": 1, "slices_per_volume": 1, "batch_size": 1}
    output = run("train", dataset_dir=dataset, **knobs)
    weights = torch.load(output / "model.pt", weights_only=True)
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_a_label_image_of_another_shape_is_named(tmp_path, run):
    dataset = write_dataset(tmp_path, [balls()], l0=balls((8, 48, 60)))
    with refusing("l0.nii.gz"):
        run("train", "evaluate", dataset_dir=dataset, network=Components())


def test_a_plane_is_refused(tmp_path, run):
    nib.save(nib.Nifti1Image(np.zeros((48, 60), np.float32), AFFINE), tmp_path / "plane.nii.gz")
    with refusing("plane.nii.gz"):
        run("inference", dataset_dir=tmp_path, network=Components(), cache_rate=None)


@pytest.mark.parametrize(
    ("knob", "message"),
    [
        ({"num_slices": 4}, "--num_slices 4: a stack needs a slice in the middle"),
        ({"fusion": "late_se"}, "--fusion late_se: unknown; give one of center, channel, se, windowed, pixel, late"),
        ({"encoder": "vgg"}, "--encoder vgg: unknown; give one of timm-tf_efficientnet_lite0, "),
        ({"score_threshold": 2}, "--score_threshold 2: expected a number from 0 to below 1"),
        ({"slices_per_volume": 0}, "--slices_per_volume 0: expected a positive whole number"),
        ({"anchor_sizes": [8, 16]}, "--anchor_sizes [8, 16]: give 5, one for each level"),
    ],
)
def test_impossible_knobs_are_refused(tmp_path, run, knob, message):
    with refusing(re.escape(message)):
        run("train", dataset_dir=write_dataset(tmp_path, [balls()] * 2), **knob)
