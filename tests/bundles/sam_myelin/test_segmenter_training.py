"""The segmenter learns every modality as much as the others, at one size of fibres, and where axons nearly touch."""

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from sam_myelin.segmenter_training import ClassesOfFibresd, SegmenterLoss, ShowFibresd, gap_weights, modality_weights

from tests.bundles.sam_myelin.conftest import disc


def test_every_modality_is_drawn_as_often():
    items = [{"image": f"sub-1_sample-{number}_{kind}.png"} for number, kind in enumerate(["TEM"] * 4 + ["SEM"])]
    assert modality_weights(items) == [0.25] * 4 + [1.0]


@pytest.mark.parametrize(("pixel_size_um", "shown"), [(0.00493, (30, 40)), (0.1, (120, 160)), (math.nan, (30, 40))])
def test_images_are_shown_at_the_size_of_inference(pixel_size_um, shown):
    image = MetaTensor(torch.rand(3, 60, 80), meta={"pixel_size_um": pixel_size_um})
    labels = MetaTensor(torch.randint(0, 5, (1, 60, 80)) * 1000)
    found = ShowFibresd(["image", "label"])({"image": image, "label": labels})
    assert found["image"].shape == (3, *shown) and found["label"].shape == (1, *shown)
    assert set(found["label"].unique().tolist()) <= {0, 1000, 2000, 3000, 4000}


def test_classes_are_those_of_the_masks(fibres):
    labels, axon = fibres
    myelin = (labels > 0) & ~axon
    data = {"label": labels.astype(np.int32), "axon": axon, "myelin": myelin}
    found = ClassesOfFibresd("label")({key: torch.from_numpy(value)[None] for key, value in data.items()})
    assert set(found) == {"label"} and found["label"].dtype == torch.float32
    np.testing.assert_array_equal(found["label"][0], np.where(axon, 2, myelin))


def test_pixels_between_two_close_axons_count_more():
    axons = np.zeros((40, 60), int)
    axons[disc(axons.shape, 20, 20, 8)], axons[disc(axons.shape, 20, 41, 8)] = 1, 2
    weights = gap_weights(axons, weight=3, reach_px=4)
    heavy = weights == 3
    assert heavy[20, 30] and not heavy[:, :28].any() and not heavy[:, 34:].any() and not heavy[[0, -1]].any()
    assert (weights[~heavy] == 1).all()
    assert (gap_weights(axons, weight=3, reach_px=1) == 1).all(), "the gap is wider"
    assert (gap_weights(0 * axons, weight=3, reach_px=4) == 1).all()


def test_loss_of_what_is_right_is_small_and_heavy_pixels_count():
    classes = torch.randint(0, 3, (2, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    targets = torch.cat([classes, torch.ones_like(classes)], dim=1).float()
    right = torch.nn.functional.one_hot(classes[:, 0], 3).movedim(-1, 1) * 40.0 - 20
    assert SegmenterLoss()(right, targets) < 1e-3
    wrong = right.clone()
    wrong[0, :, 0, 0] = wrong[0, :, 0, 0].roll(1)
    heavy = targets.clone()
    heavy[0, 1, 0, 0] = 10
    assert SegmenterLoss()(wrong, heavy) > SegmenterLoss()(wrong, targets) > 0.01
