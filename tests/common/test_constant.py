"""Nothing is found in an image without structure, and that is said."""

import pytest
import torch
from monai.data import MetaTensor

from common.constant import EmptyIfConstantd

SLIDE = torch.tensor([250.0, 128.0, 7.0])[:, None, None].expand(3, 4, 4)
HALF = torch.stack([torch.zeros(4, 4), torch.eye(4)])
EDGE = torch.tensor([[[3.0, 3.0], [3.0, 4.0]]])


@pytest.mark.parametrize(
    ("image", "is_constant"), [(torch.full((1, 4, 4, 4), 7.0), True), (SLIDE, True), (EDGE, False), (HALF, False)]
)
def test_prediction_is_empty_only_where_the_image_is_constant(caplog, image, is_constant):
    data = {"image": MetaTensor(image, meta={"filename_or_obj": "a.tif"}), "pred": torch.ones(2, 6, 6)}
    assert (EmptyIfConstantd("pred")(data)["pred"] == (not is_constant)).all()
    assert ("a.tif: all pixels have one value, the result is empty" in caplog.text) == is_constant
