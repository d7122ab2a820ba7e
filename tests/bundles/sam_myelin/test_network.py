"""The batched network gives what Segment Anything gives, whatever else is in the batch."""

import pytest
import torch
from sam_myelin.common.errors import InputError
from sam_myelin.drawing import draw_prompts
from sam_myelin.network import SamMyelin, freeze_for_training
from sam_myelin.normalisation import MEAN, STD
from sam_myelin.variants import VARIANTS, build_sam
from segment_anything import sam_model_registry

SIZE = 64
BOXES = torch.tensor([[[3.0, 5, 30, 41], [10, 0, 63, 20]], [[0, 0, 9, 9], [31, 32, 60, 63]]])
POINTS = torch.tensor([[[[8.0, 9]], [[40, 3]]], [[[4, 4]], [[50, 40]]]])
INSIDE = torch.ones(2, 2, 1)


@pytest.fixture(scope="module")
def network() -> SamMyelin:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SamMyelin("efficient", SIZE).eval()


@pytest.fixture(scope="module")
def sam(network):
    sam = build_sam("efficient", image_size=SIZE).eval()
    weights = {name: value for name, value in network.state_dict().items() if not name.startswith("segmenter.")}
    sam.load_state_dict(weights)  # the same names
    sam.image_encoder.forward = network.encode  # which sees images through the segmenter, that Segment Anything lacks
    return sam


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 255


@pytest.fixture(scope="module")
def embedding(network, images):
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    with torch.no_grad():
        return network.encode((images - mean) / std)


def close(actual, expected):
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("drawn", [False, True])
@pytest.mark.parametrize("names", [("boxes",), ("points",), ("boxes", "points")], ids="+".join)
def test_every_prompt_gets_what_segment_anything_gives(network, sam, images, embedding, names, drawn, monkeypatch):
    monkeypatch.setattr(network, "draws_prompts", drawn)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    ours = {"boxes": {"boxes": BOXES}, "points": {"points": POINTS, "point_labels": INSIDE}}
    with torch.no_grad():
        prompts = {key: value for name in names for key, value in ours[name].items()}
        logits, iou = network.decode(embedding, **prompts)
        from_images = network((images - mean) / std, **prompts)
    assert logits.shape == (2, 2, 1, SIZE // 4, SIZE // 4)
    close(from_images, logits)
    for image, box, point, inside, logit, score in zip(images, BOXES, POINTS, INSIDE, logits, iou, strict=True):
        record = {"image": image, "original_size": (SIZE, SIZE)}
        record |= {"boxes": box} if "boxes" in names else {}
        record |= {"point_coords": point, "point_labels": inside} if "points" in names else {}
        if drawn:
            unknown = torch.full_like(box, torch.nan)
            signs = inside if "points" in names else torch.zeros_like(inside)
            record["mask_inputs"] = draw_prompts(box if "boxes" in names else unknown, point, signs, SIZE // 4)
        expected = sam([record], multimask_output=False)[0]
        close(logit, expected["low_res_logits"])
        close(score, expected["iou_predictions"][:, 0])


def test_padding_is_neither_computed_nor_seen(network, embedding):
    present = torch.tensor([[True, False], [True, True]])
    boxes = BOXES.clone()
    with torch.no_grad():
        everything = network(embedding, boxes)
        boxes[0, 1] = 1e9
        logits = network(embedding, boxes, present=present)
        nothing = network(embedding, boxes, present=torch.zeros(2, 2, dtype=bool))
    close(logits[present], everything[present])
    assert not logits[~present].any() and not nothing.any() and nothing.shape == everything.shape


def test_prompt_without_a_box_among_others(network, embedding):
    boxes = BOXES.clone()
    boxes[0, 0] = torch.nan
    with torch.no_grad():
        mixed = network(embedding, boxes, POINTS, INSIDE)
        with_boxes = network(embedding, BOXES, POINTS, INSIDE)
    assert mixed.isfinite().all() and not torch.allclose(mixed[0, 0], with_boxes[0, 0])
    close(mixed[1], with_boxes[1])


def test_without_prompts_one_box_holds_the_whole_image(network, embedding):
    with torch.no_grad():
        logits = network(embedding)
        expected = network(embedding, torch.tensor([0.0, 0, SIZE - 1, SIZE - 1]).expand(2, 1, 4))
    assert logits.shape == (2, 1, 1, SIZE // 4, SIZE // 4)
    close(logits, expected)


def test_exactly_what_is_trained_gets_a_gradient(embedding):
    network = freeze_for_training(SamMyelin("efficient", SIZE))
    network(embedding, BOXES).sum().backward()
    trained = {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert {name for name, weight in network.named_parameters() if weight.grad is not None} == trained
    assert {name.split(".")[0] for name in trained} == {"mask_decoder"}
    decoder = network.mask_decoder.parameters()
    assert sum(weight.numel() for weight in decoder if weight.requires_grad) == 3_506_304


def test_encoder_is_trained_on_demand(images):
    network = freeze_for_training(SamMyelin("efficient", SIZE), finetune_encoder=True)
    network(images, BOXES, POINTS, INSIDE).sum().backward()
    trained = {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert {name for name, weight in network.named_parameters() if weight.grad is not None} == trained
    assert {name.split(".")[0] for name in trained} >= {"image_encoder", "prompt_encoder"}


def test_image_may_have_another_size_than_in_training(network):
    larger = SamMyelin("efficient", 2 * SIZE)
    larger.load_state_dict(network.state_dict())
    assert larger(torch.zeros(1, 3, 2 * SIZE, 2 * SIZE)).shape == (1, 1, 1, SIZE // 2, SIZE // 2)


def test_segmenter_takes_gray_values_of_any_size(network):
    gray = torch.rand(1, 1, 50, 71).expand(-1, 3, -1, -1) * 255
    with torch.no_grad():
        logits = network.segment(gray)
        close(logits, network.segmenter(gray))
    assert logits.shape == (1, 3, 50, 71)


@pytest.mark.parametrize(
    ("variant", "image_size", "num_parameters"),
    [
        ("efficient", 512, 4_926_672),
        ("vit_b", 1024, 93_735_472),
        ("vit_l", 1024, 312_342_832),
        ("vit_h", 1024, 641_090_608),
    ],
)
def test_sizes_are_those_told_and_metas(variant, image_size, num_parameters):
    with torch.device("meta"):  # no memory for the weights
        network = SamMyelin(variant, image_size)
        expected = sam_model_registry.get(variant, lambda: build_sam(variant, image_size=512))()
    parts = (network.image_encoder, network.prompt_encoder, network.mask_decoder)
    assert sum(weight.numel() for part in parts for weight in part.parameters()) == num_parameters
    shapes, metas = ({key: value.shape for key, value in net.state_dict().items()} for net in (network, expected))
    assert {key: shape for key, shape in shapes.items() if not key.startswith("segmenter.")} == metas


@pytest.mark.parametrize(
    ("variant", "image_size", "message"),
    [
        ("vit_s", 1024, f"--variant vit_s: unknown; give {', '.join(VARIANTS)}"),
        ("efficient", 500, "--image_size 500: .* multiple of 16"),
        ("vit_b", 512, "--image_size 512: the weights of vit_b are for 1024"),
    ],
)
def test_impossible_networks(variant, image_size, message):
    with pytest.raises(InputError, match=message):
        SamMyelin(variant, image_size)
