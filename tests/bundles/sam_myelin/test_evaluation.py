"""One prediction holds what two inferers find."""

import torch
from monai.data import MetaTensor, decollate_batch
from sam_myelin.evaluation import EvaluationInferer
from sam_myelin.inferers import FibreInferer

from tests.bundles.sam_myelin.stand_ins import GrayNetwork, draw_grid

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


def test_each_window_is_segmented_once_for_both():
    image, _, _ = draw_grid(3, 4)
    batch = torch.from_numpy(image).float().expand(1, 3, -1, -1)
    networks = [GrayNetwork(), GrayNetwork()]
    automatic = FibreInferer(automatic=True, refine=False)
    prompts = torch.tensor([[[1, 32.0, 32.0, 6, 6, 58, 58]]])
    found = EvaluationInferer(automatic, FibreInferer(min_fit=0.7))(batch, networks[0], prompts)
    alone = automatic(batch, networks[1])
    assert torch.equal(found[:, :2], alone.as_tensor())
    assert networks[0].seen_px == networks[1].seen_px and found[0, 2].unique().tolist() == [0, 1]
