"""The classical pipeline finds bright balls, parts those that touch, and thinks in micrometres."""

from __future__ import annotations

import numpy as np
import pytest

from common.labels.seg import seg
from tools.bench.classical import segment_classically

FINE, FLAT = (0.8, 0.8, 0.8), (1.75, 0.8, 0.8)
CENTRES_UM = ((25.0, 20.0, 20.0), (25.0, 20.0, 33.0), (60.0, 40.0, 40.0))  # the first two overlap a little
RADIUS_UM = 7.0


def balls(spacing, centres=CENTRES_UM, radius_um=RADIUS_UM):
    """Image and truth of balls in a volume of 88 x 64 x 64 µm."""
    shape = [round(length / step) for length, step in zip((88, 64, 64), spacing, strict=True)]
    points = np.moveaxis(np.indices(shape), 0, -1) * spacing
    distances = np.linalg.norm(points[..., None, :] - np.array(centres), axis=-1)
    labels = np.where(distances.min(axis=-1) < radius_um, distances.argmin(axis=-1) + 1, 0)
    noise = np.random.default_rng(0).normal(100, 3, shape)
    return (noise + 400 * (labels > 0)).astype(np.uint16), labels.astype(np.uint16)


@pytest.mark.parametrize("spacing", [FINE, FLAT])
def test_balls_are_found_and_parted_at_any_spacing(spacing):
    image, labels = balls(spacing)
    result = segment_classically(image, spacing)
    assert result.dtype == np.int32 and result.shape == image.shape and result.max() == 3
    assert seg(labels, result) > 0.6  # Li cuts sharp balls low: they come out larger


def test_small_objects_are_left_out_by_their_volume_in_micrometres():
    image, labels = balls(FLAT)
    result = segment_classically(image, FLAT, min_volume_um3=3000)
    assert result.max() == 2 and not result[labels == 3].any()  # the pair holds together, the third one is alone
    assert not segment_classically(image, [step / 2 for step in FLAT], min_volume_um3=3000).any()


@pytest.mark.parametrize("value", [0, 7, 0.5])
def test_constant_image_holds_no_object(value):
    result = segment_classically(np.full((6, 20, 20), value), FLAT)
    assert result.shape == (6, 20, 20) and result.dtype == np.int32 and not result.any()


def test_order_in_memory_changes_nothing_and_the_image_is_left_as_it_was():
    image, _ = balls(FLAT)
    before = image.copy()
    result = segment_classically(image, FLAT)
    np.testing.assert_array_equal(result, segment_classically(np.asfortranarray(image), FLAT))
    np.testing.assert_array_equal(image, before)
