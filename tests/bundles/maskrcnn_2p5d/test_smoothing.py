"""Objects drawn anew from smoothed probabilities."""

import numpy as np
import pytest
import torch
from maskrcnn_2p5d.common.errors import InputError
from maskrcnn_2p5d.inferers import SCORES, VolumeInstanceInferer
from maskrcnn_2p5d.smoothing import smooth_objects

from tests.bundles.maskrcnn_2p5d.stand_ins import Components
from tests.bundles.maskrcnn_2p5d.test_inferers import as_batch, balls

SIGMA = (1.0, 1.5, 1.5)


def ellipsoid(shape: tuple[int, int, int] = (40, 48, 48)) -> np.ndarray:
    """One of 30 slices, so that it spans three slabs."""
    z, y, x = (axis - size / 2 for axis, size in zip(np.ogrid[: shape[0], : shape[1], : shape[2]], shape, strict=True))
    return ((z / 15) ** 2 + (y / 14) ** 2 + (x / 14) ** 2 <= 1).astype(np.int32)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return (first & second).sum() / (first | second).sum()


def test_a_border_that_jumps_from_slice_to_slice_comes_nearer_to_the_truth():
    truth, random = ellipsoid(), np.random.default_rng(0)
    painted = np.stack([np.roll(plane, random.integers(-2, 3, 2), axis=(0, 1)) for plane in truth])
    result = smooth_objects(painted, painted.astype(np.float16), sigma=SIGMA, threshold=0.5)
    assert iou(result > 0, truth > 0) > iou(painted > 0, truth > 0) + 0.05


def test_the_place_of_slabs_changes_nothing(monkeypatch):
    labels = np.stack([ellipsoid(), ellipsoid() * 2]).max(axis=0)
    labels[:, 24:] //= 2
    whole = labels.astype(np.float32)
    monkeypatch.setattr("maskrcnn_2p5d.smoothing.SLAB", 1000)
    expected = smooth_objects(labels, whole.clip(0, 1), sigma=SIGMA, threshold=0.45)
    monkeypatch.setattr("maskrcnn_2p5d.smoothing.SLAB", 7)
    assert (smooth_objects(labels, whole.clip(0, 1), sigma=SIGMA, threshold=0.45) == expected).all()
    assert set(np.unique(expected)) == {0, 1, 2}


def test_touching_objects_share_the_voxels_between_them_where_they_met():
    labels = np.zeros((8, 20, 40), np.int32)
    labels[:, 4:16, 4:20], labels[:, 4:16, 20:36] = 1, 2
    result = smooth_objects(labels, (labels > 0).astype(np.float32), sigma=SIGMA, threshold=0.5)
    assert (result[:, 8:12, 6:20] == 1).all() and (result[:, 8:12, 20:34] == 2).all()


def test_nothing_appears_where_masks_were_hidden_and_no_object_is_near():
    labels, probability = np.zeros((2, 6, 30, 30)), np.ones((6, 30, 30), np.float16)
    labels = labels[0].astype(np.int32)
    labels[:, 2:8, 2:8] = 1
    result = smooth_objects(labels, probability, sigma=SIGMA, threshold=0.5)
    assert result[:, :9, :9].any() and not result[:, 15:, 15:].any()


def test_an_object_that_is_smoothed_away_leaves_no_gap_in_numbers_and_scores():
    volume = balls()
    volume[0, 0, 28] = 3  # first in the volume, too small to stay
    settings = {"min_area_px": 1, "min_iou": 0.01, "min_slices": 1}
    rough = VolumeInstanceInferer(3, **settings)(as_batch(volume), Components())
    smooth = VolumeInstanceInferer(3, **settings, smoothing=SIGMA, object_threshold=0.45)(
        as_batch(volume), Components()
    )
    assert rough.max() == 3 and rough.meta[SCORES].shape == (1, 3)
    assert torch.unique(torch.as_tensor(smooth)).tolist() == [0, 1, 2] and smooth.meta[SCORES].shape == (1, 2)


@pytest.mark.parametrize(
    "settings", [{"smoothing": (1, 1)}, {"smoothing": 0}, {"smoothing": (1, -1, 1)}, {"object_threshold": 1}]
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        VolumeInstanceInferer(3, **settings)
