"""A row per cell type, and one over all images."""

import numpy as np
import pytest
from swinunet_livecell.cell_types import per_type_table


def test_means_and_deviations_by_hand():
    rows = per_type_table({"iou": [0.5, 1.0, 0.25], "dice": [0.7, 1.0, 0.4]}, ["SKOV3", "A172", "SKOV3"])
    assert [(row["cell_type"], row["n"]) for row in rows] == [("A172", 1), ("SKOV3", 2), ("all", 3)]
    assert [row["iou_mean"] for row in rows] == pytest.approx([1.0, 0.375, 1.75 / 3])
    assert [row["dice_std"] for row in rows] == pytest.approx([0.0, 0.15, np.std([0.7, 1.0, 0.4])])
    assert list(rows[0]) == ["cell_type", "n", "iou_mean", "iou_std", "dice_mean", "dice_std"]


def test_images_weigh_the_same_in_the_row_of_all():
    scores = np.random.default_rng(0).random(30)
    rows = per_type_table({"iou": scores}, ["A"] * 25 + ["B"] * 5)
    assert rows[-1]["iou_mean"] == pytest.approx(scores.mean())
    assert sum(row["n"] * row["iou_mean"] for row in rows[:-1]) / 30 == pytest.approx(scores.mean())


def test_undefined_scores_are_left_out_of_means_but_counted():
    (one, _) = per_type_table({"iou": [float("nan"), 0.5]}, ["A", "A"])
    assert (one["n"], one["iou_mean"]) == (2, 0.5)
    (one, _) = per_type_table({"iou": [float("nan")]}, ["A"])
    assert np.isnan(one["iou_mean"]) and np.isnan(one["iou_std"])


def test_no_images_have_no_mean():
    assert per_type_table({}, []) == [{"cell_type": "all", "n": 0}]


def test_scores_and_images_of_another_number():
    with pytest.raises(ValueError, match="iou: 1 scores for 2 images"):
        per_type_table({"iou": [0.5]}, ["A", "B"])
