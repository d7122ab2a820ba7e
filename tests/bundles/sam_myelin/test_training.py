"""What a training step sees: each prompt belongs to the fibre whose target it has."""

import numpy as np
import pytest
import torch
from sam_myelin.batching import pad_prompts
from sam_myelin.losses import PromptLoss
from sam_myelin.network import SamMyelin, freeze_for_training
from sam_myelin.training import PreparePrompts, RandPromptsd, image_weights

SIZE = 64


@pytest.fixture
def draw(fibres):
    """Function that draws prompts for the fibres, of an image of 48 x 64 pixels at the network's own scale."""

    def draw(seed: int = 0, **options) -> dict[str, torch.Tensor]:
        labels, axon = fibres
        data = {"label": torch.from_numpy(labels.astype(np.int32))[None], "axon": torch.from_numpy(axon)[None]}
        options = {"num_prompts": 16, "min_pixels": 10} | options
        return RandPromptsd("label", SIZE, **options).set_random_state(seed=seed)(data)

    return draw


def bounding_box(target: torch.Tensor) -> torch.Tensor:
    """Of the cells (1, h, w) that are touched, in pixels of the input: first and last, (x, y, x, y)."""
    y, x = (target[0] > 0).nonzero(as_tuple=True)
    return torch.stack([x.min() * 4, y.min() * 4, x.max() * 4 + 3, y.max() * 4 + 3])


def test_every_box_holds_its_target_and_is_at_most_so_much_larger(draw):
    for seed in range(20):
        found = draw(seed, point_share=0, max_jitter=6)
        assert len(found["boxes"]) == 3 and not found["boxes"].isnan().any()
        for box, target in zip(found["boxes"], found["targets"], strict=True):
            touched = bounding_box(target)
            assert (box[:2] <= touched[:2] + 3).all() and (box[2:] >= touched[2:] - 3).all()
            assert (box[:2] >= touched[:2] - 6).all() and (box[2:] <= touched[2:] + 6).all()


def test_points_are_in_the_axon_of_their_target(draw, fibres):
    axon = fibres[1]
    for seed in range(20):
        found = draw(seed, point_share=1, part="axon", max_jitter=0)
        assert len(found["points"]) == 2, "a fibre without an axon has no axon to be asked for"
        assert (found["point_labels"] == 1).all()
        for (point,), target in zip(found["points"], found["targets"], strict=True):
            x, y = point.round().int().tolist()
            assert axon[y, x] and target[0, y // 4, x // 4] > 0


def test_boxes_and_points_are_mixed_and_no_prompt_has_neither(draw):
    every = [draw(seed) for seed in range(60)]
    has_box = torch.cat([~found["boxes"].isnan().any(dim=1) for found in every])
    has_point = torch.cat([found["point_labels"][:, 0] == 1 for found in every])
    assert (has_box | has_point).all()
    for kind in (has_box & ~has_point, has_box & has_point, has_point & ~has_box):
        assert kind.float().mean() > 0.1


def test_no_more_prompts_than_wanted_and_the_smallest_fibres_are_left_out(draw):
    assert len(draw(num_prompts=2)["targets"]) == 2
    assert len(draw(num_prompts=0)["targets"]) == 0
    assert len(draw(min_pixels=150)["targets"]) == 2  # of the fibre without an axon 40 pixels are myelin


def test_a_step_on_embeddings_of_images_with_different_numbers_of_fibres(draw):
    network = freeze_for_training(SamMyelin("efficient", SIZE))
    items = [draw(num_prompts=number) | {"image": torch.randn(256, 4, 4)} for number in (0, 3)]
    image, targets, args, kwargs = PreparePrompts()(pad_prompts(items))
    assert targets.shape == (2, 3, 1, 16, 16)
    loss = PromptLoss("dice_ce")(network(image, *args, **kwargs), targets)
    loss.backward()
    assert torch.isfinite(loss) and all(
        weight.grad is not None for weight in network.parameters() if weight.requires_grad
    )


def test_every_image_is_drawn_as_often_of_however_many_tiles_it_is():
    weights = image_weights([{"image": name} for name in "abbbb"])
    assert weights == [1, 0.25, 0.25, 0.25, 0.25]
