"""Label maps of pictures, as MONAI Label writes them."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from common.labels.label_map import PictureLabelsd, compact_labels


@pytest.mark.parametrize(
    ("highest", "kind"), [(0, np.uint8), (255, np.uint8), (256, np.uint16), (65535, np.uint16), (65536, np.int32)]
)
def test_the_type_is_the_smallest_that_holds_the_labels(highest, kind):
    labels = np.array([[0, highest]], np.int32)
    compact = compact_labels(labels)
    assert compact.dtype == kind
    np.testing.assert_array_equal(compact, labels)


def test_a_prediction_becomes_its_label_map_in_monais_order_with_its_metadata():
    labels = np.arange(6, dtype=np.int32).reshape(1, 2, 3)
    pred = MetaTensor(torch.zeros(2, 2, 3), meta={"filename_or_obj": "a.png"})
    made = PictureLabelsd("pred", labels_key="cells")({"pred": pred, "cells": torch.from_numpy(labels)})["pred"]
    assert made.meta["filename_or_obj"] == "a.png" and made.dtype == torch.uint8
    np.testing.assert_array_equal(made.numpy(), labels[0].T)


def test_of_several_channels_the_first_one_counts():
    maps = torch.stack([torch.full((2, 3), 7), torch.full((2, 3), 9)])
    assert PictureLabelsd("pred", labels_key="pred")({"pred": maps})["pred"].unique().tolist() == [7]
