"""Scores of objects over the IoU of a match, as an evaluation writes them."""

import csv
import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.engines import SupervisedEvaluator
from monai.handlers import IgniteMetricHandler, from_engine
from PIL import Image

from common.metrics.iou_curve import IouCurve
from common.metrics.objects import ObjectMetric

SQUARE = 20  # pixels, of which a result may miss rows


def labels_of(*missing: int | None) -> np.ndarray:
    """Squares in a row, each without some of its rows; None for a square that is not there."""
    labels = np.zeros((SQUARE, (SQUARE + 2) * max(len(missing), 1)), np.int32)
    for number, rows in enumerate(missing):
        if rows is not None:
            labels[rows:, (SQUARE + 2) * number : (SQUARE + 2) * number + SQUARE] = number + 1
    return labels


def metric(kind):
    return {kind: IgniteMetricHandler(metric_fn=ObjectMetric(kind), output_transform=from_engine(["pred", "label"]))}


def run(folder, cases):
    """Evaluate results, given as rows missing of each square, whose truth has whole ones."""
    batches = []
    for name, _, true in cases:
        image = MetaTensor(torch.zeros(1, 1, 2, 2), meta={"filename_or_obj": [name]})
        image.is_batch = True
        batches.append({"image": image, "label": torch.from_numpy(labels_of(*true))[None, None]})
    results = iter([torch.from_numpy(labels_of(*found))[None, None] for _, found, _ in cases])
    evaluator = SupervisedEvaluator(
        device="cpu",
        val_data_loader=batches,
        network=torch.nn.Identity(),
        inferer=lambda inputs, network: next(results),
        key_val_metric=metric("f1"),
        additional_metrics=metric("ap"),
        val_handlers=[IouCurve(folder, from_engine(["pred", "label"]))],
    )
    evaluator.run()
    with (folder / "objects_by_iou.csv").open() as file:
        return [{name: float(cell) for name, cell in row.items()} for row in csv.DictReader(file)], evaluator


CASES = [("a.png", (0, 3, None), (0, 0, 0)), ("b.png", (9, 1), (0, None)), ("c.png", (None,), (None,))]


def test_counts_are_those_worked_out_by_hand(tmp_path):
    rows, _ = run(tmp_path / "scores", CASES)
    assert [row["iou"] for row in rows] == pytest.approx(np.arange(0.5, 1, 0.05))
    # of a, squares with IoU 1 and .85 and one that was missed; of b, one of .55 and a false one
    at = {round(row["iou"], 2): (row["true_positives"], row["false_positives"], row["false_negatives"]) for row in rows}
    assert at[0.5] == (3, 1, 1) and at[0.55] == (2, 2, 2) and at[0.8] == (2, 2, 2) and at[0.85] == (1, 3, 3)
    first = rows[0]
    assert first["f1"] == pytest.approx(6 / 8) and first["ap"] == pytest.approx((2 / 3 + 1 / 2) / 2, rel=1e-5)
    with Image.open(tmp_path / "scores" / "objects_by_iou.png") as picture:
        assert picture.format == "PNG" and max(picture.size) <= 600


def test_curve_agrees_with_the_scores_beside_it(tmp_path):
    rows, evaluator = run(tmp_path, CASES)
    assert rows[0]["f1"] == pytest.approx(evaluator.state.metrics["f1"], rel=1e-5)
    assert np.mean([row["ap"] for row in rows if row["iou"] < 0.91]) == pytest.approx(
        evaluator.state.metrics["ap"], rel=1e-5
    )


def test_image_that_was_scored_twice_counts_once(tmp_path):
    once, _ = run(tmp_path / "once", CASES)
    twice, _ = run(tmp_path / "twice", [*CASES, CASES[0]])
    assert once == twice


def test_without_any_object_there_is_no_score(tmp_path):
    rows, _ = run(tmp_path, [CASES[2]])
    assert all(math.isnan(row["f1"]) and math.isnan(row["ap"]) and row["true_positives"] == 0 for row in rows)
