"""One prediction holds what two inferers find."""

from __future__ import annotations

import torch
from monai.data import MetaTensor, decollate_batch
from sam_myelin.evaluation import EvaluationInferer

MAPS = torch.arange(40, dtype=torch.int32).reshape(1, 2, 4, 5)


def test_automatic_results_come_first_with_the_inputs_metadata():
    image = MetaTensor(torch.zeros(1, 3, 4, 5), meta={"filename_or_obj": ["a.png"]})
    image.is_batch = True
    calls = []

    def finding(maps):
        return lambda *args, **kwargs: (calls.append((args, kwargs)), MetaTensor(maps))[1]

    found = EvaluationInferer(finding(MAPS), finding(-MAPS))(image, None, "prompts", progress=False)
    assert calls == [((image, None, "prompts"), {"progress": False})] * 2
    assert found.dtype == torch.int32 and found.is_batch and found.meta["filename_or_obj"] == ["a.png"]
    torch.testing.assert_close(found.as_tensor(), torch.cat([MAPS, -MAPS], dim=1))
    (item,) = decollate_batch(found)
    assert item.shape == (4, 4, 5) and item.meta["filename_or_obj"] == "a.png"


def test_images_without_metadata_get_results_without():
    found = EvaluationInferer(*[lambda inputs, network: MAPS] * 2)(torch.zeros(1, 3, 4, 5), None)
    assert type(found) is torch.Tensor and found.shape == (1, 4, 4, 5)
