"""Myelin and axons as classes, as MONAI Label shows and gives them."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from sam_myelin.class_map import ClassMapd, SplitClassesd
from sam_myelin.common.errors import InputError
from sam_myelin.fibres import AXON_VALUE, MYELIN_VALUE

CLASSES = np.zeros((12, 20), np.int32)
CLASSES[2:10, 2:9], CLASSES[4:8, 4:7] = 1, 2
CLASSES[2:10, 11:18], CLASSES[4:8, 13:16] = 1, 2


def drawn(classes: np.ndarray = CLASSES, **more: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"label": MetaTensor(torch.from_numpy(classes)[None], meta={"filename_or_obj": "a.png"}), **more}


def test_what_was_found_becomes_classes():
    values = np.array([0, MYELIN_VALUE, AXON_VALUE], np.int32)[CLASSES]
    pred = torch.from_numpy(np.stack([CLASSES, values]))
    found = ClassMapd("pred")({"pred": pred})["pred"]
    assert found.dtype == torch.uint8
    np.testing.assert_array_equal(found.numpy(), CLASSES[None])


def test_drawn_classes_become_fibres_with_their_parts():
    item = SplitClassesd("label")(drawn())
    np.testing.assert_array_equal(item["axon"].numpy()[0], CLASSES == 2)
    np.testing.assert_array_equal(item["myelin"].numpy()[0], CLASSES == 1)
    labels = item["label"].numpy()[0]
    assert set(np.unique(labels[2:10, 2:9])) == {1} and set(np.unique(labels[2:10, 11:18])) == {2}
    assert item["label"].meta["filename_or_obj"] == "a.png"


def test_fibres_whose_axons_are_known_stay_as_they_are():
    item = drawn(CLASSES * 5, axon=torch.ones(1, 12, 20))
    assert SplitClassesd("label")(item) == item


def test_numbered_fibres_without_axons_are_refused():
    with pytest.raises(InputError, match="a.png: labels up to 10, and no mask of axons; draw 1 for myelin and 2"):
        SplitClassesd("label")(drawn(CLASSES * 5))
