"""Each way segments each chosen volume once, and is judged by the same label."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SimpleInferer
from torch import nn

from common.errors import InputError
from tools.bench.side_by_side import iou, measure


def volumes(count):
    """Cubes of which a growing part is foreground, with themselves for a label."""
    items = []
    for index in range(count):
        image = torch.zeros(1, 4, 4, 4)
        image[:, : 1 + index % 4] = 1
        items.append({"image": MetaTensor(image), "label": MetaTensor(image.clone())})
    return items


def scale(factor):
    network = nn.Conv3d(1, 1, 1, bias=False)
    nn.init.constant_(network.weight, factor)
    return SimpleInferer(), network


def postprocess(item):
    return item | {"pred": item["pred"] > 0}


def test_right_and_empty_answers_are_told_apart():
    seconds, ious = measure({"right": scale(1.0), "empty": scale(-1.0)}, volumes(5), postprocess, num_volumes=4)
    assert ious == {"right": [1.0] * 4, "empty": [0.0] * 4}
    assert all(len(times) == 4 and min(times) > 0 for times in seconds.values())


def test_few_volumes_are_refused():
    with pytest.raises(InputError, match="2 labelled images under testing, expected at least 3"):
        measure({"right": scale(1.0)}, volumes(2), postprocess, num_volumes=3)


@pytest.mark.parametrize(("mask", "reference", "expected"), [([0, 0], [0, 0], 1), ([1, 1], [1, 0], 0.5), ([1], [0], 0)])
def test_iou_by_hand(mask, reference, expected):
    assert iou(np.array(mask, bool), np.array(reference, bool)) == expected
