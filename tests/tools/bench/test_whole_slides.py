"""Every way segments every slide as often as asked, in turns, and is judged at full resolution."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from monai.inferers import SlidingWindowInferer

from common.errors import InputError
from tools.bench.whole_slides import Way, count_windows, dice, read_mask, time_ways

SHAPE = (9, 20)


@pytest.fixture
def items(tmp_path):
    """Two slides, of which the first has a label map: one crypt in its upper left 4 x 8 pixels."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[:4, :8] = 3
    tifffile.imwrite(tmp_path / "label.tiff", labels)
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}.tiff", np.zeros((*SHAPE, 3), np.uint8))
    return [
        {"image": tmp_path / "a.tiff", "label": tmp_path / "label.tiff"},
        {"image": tmp_path / "b.tiff"},
    ]


def test_ways_take_turns_and_are_judged_at_full_resolution(items):
    calls = []

    def way(name, probability, downsample):
        return Way(lambda path: calls.append((path.stem, name)) or probability[None, None], downsample)

    small, full = torch.zeros(2, 3), torch.zeros(SHAPE)  # 9 x 20 by 8
    small[0, 0], full[:4, :4] = 0.7, 0.7
    ways = {"small": way("small", small, 8), "full": way("full", full, 1)}
    first, second = time_ways(ways, items, rounds=2, threshold=0.5)
    assert calls == [
        (slide, name) for slide, order in zip("abab", [1, -1, 1, -1], strict=True) for name in [*ways][::order]
    ]
    assert (first.name, first.shape, second.name, second.shape) == ("a", SHAPE, "b", SHAPE)
    assert [len(seconds) for seconds in first.seconds.values()] == [2, 2]
    assert first.dice == {"small": 2 * 32 / (32 + 64), "full": 2 * 16 / (16 + 32)}
    assert second.dice == {}


def test_threshold_is_exclusive(items):
    ways = {"all": Way(lambda path: torch.full((1, 1, *SHAPE), 0.5))}
    assert time_ways(ways, items[:1], rounds=1, threshold=0.5)[0].dice == {"all": 0.0}


def test_labels_of_another_size_are_refused(items):
    with pytest.raises(InputError, match=r"label\.tiff: shape \(9, 20\), expected \(9, 21\) as its slide"):
        read_mask(items[0]["label"], (9, 21))


@pytest.mark.parametrize(("length", "expected"), [(8, 1), (16, 2), (17, 3)])
def test_windows_are_counted(length, expected):
    inferer = SlidingWindowInferer(roi_size=(8, 8), overlap=0, sw_batch_size=2)
    assert count_windows(inferer, torch.zeros(3, 8, length)) == expected


def test_dice_by_hand():
    mask, reference = np.array([[1, 1, 0, 0]], bool), np.array([[0, 1, 1, 1]], bool)
    assert dice(mask, reference) == 2 / 5
    assert dice(mask & False, reference & False) == 1
    assert dice(mask, reference & False) == 0
