"""Losses in training, scores and detections else; slices of a volume are computed once."""

import copy

import pytest
import torch
from maskrcnn_2p5d.backbones import LEVELS
from maskrcnn_2p5d.common.errors import InputError
from maskrcnn_2p5d.fusion import FUSIONS
from maskrcnn_2p5d.losses import LOSSES
from maskrcnn_2p5d.network import MaskRCNN2p5D
from maskrcnn_2p5d.roi_fusion import ROI_FUSIONS
from monai.data import MetaTensor

SMALL = {"fpn_channels": 8, "box_features": 8, "detections_per_slice": 5}


def build(fusion: str = "se", num_slices: int = 3, **options) -> MaskRCNN2p5D:
    """A small network that finds something, though it has learned nothing."""
    network = MaskRCNN2p5D(num_slices, fusion, **(SMALL | options))
    torch.nn.init.constant_(network.roi_heads.box_predictor.cls_score.bias, 0)
    return network.eval()


def a_square(size: int = 32) -> dict[str, torch.Tensor]:
    masks = torch.zeros(1, size, size, dtype=torch.uint8)
    masks[0, 4:20, 6:24] = 1
    return {"boxes": torch.tensor([[6.0, 4, 24, 20]]), "labels": torch.ones(1, dtype=torch.int64), "masks": masks}


def nothing(size: int = 32) -> dict[str, torch.Tensor]:
    return {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "masks": torch.zeros(0, size, size, dtype=torch.uint8),
    }


@pytest.fixture(scope="module")
def network() -> MaskRCNN2p5D:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build()


def test_detections(network):
    image = torch.rand(2, 3, 40, 50)
    for found in network.detect(image):
        count = len(found["scores"])
        assert 0 < count <= 5
        assert found["boxes"].shape == (count, 4) and found["labels"].tolist() == [1] * count
        assert found["masks"].shape == (count, 1, 40, 50)
        assert found["scores"].min() > 0.2 and 0 <= found["masks"].min() <= found["masks"].max() <= 1
        assert found["boxes"].min() >= 0 and (found["boxes"].amax(0)[2:] <= torch.tensor([50, 40])).all()
        assert found["scores"].tolist() == sorted(found["scores"].tolist(), reverse=True)


def test_score_map_is_the_best_detection_at_every_pixel(network):
    image = torch.rand(2, 3, 40, 50)
    with torch.no_grad():
        scores = network(image)
    assert scores.shape == (2, 1, 40, 50)
    for pixels, found in zip(scores, network.detect(image), strict=True):
        weighted = torch.stack([score * mask for score, mask in zip(found["scores"], found["masks"], strict=True)])
        torch.testing.assert_close(pixels, weighted.max(dim=0).values)


def test_without_detections_the_score_map_is_0():
    network, image = build(score_threshold=1.0), torch.rand(1, 3, 33, 40)
    assert network.detect(image)[0]["masks"].shape == (0, 1, 33, 40)
    with torch.no_grad():
        assert torch.equal(network(image), torch.zeros(1, 1, 33, 40))


def test_images_are_padded_but_neither_resized_nor_scaled(network):
    padded = network._pad(torch.full((2, 33, 64), 7.0))
    assert padded.tensors.shape == (2, 1, 64, 64) and padded.image_sizes == [(33, 64)] * 2
    assert torch.equal(padded.tensors[:, :, :33], torch.full((2, 1, 33, 64), 7.0))
    assert not padded.tensors[:, :, 33:].any()


def test_what_the_first_image_was_does_not_matter():
    first, image = build(), torch.rand(1, 3, 64, 64)
    second = copy.deepcopy(first)
    first.detect(torch.rand(1, 3, 33, 33))  # torchvision would guess from it where boxes of all others are taken from
    torch.testing.assert_close(first.detect(image)[0], second.detect(image)[0])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_volume_gives_what_its_stacks_give(fusion, monkeypatch):
    network, volume = build(fusion), torch.rand(5, 40, 33)
    for name, parameter in network.named_parameters():
        if "gates" in name:
            torch.nn.init.normal_(parameter)
    seen = []
    network.backbone.register_forward_hook(lambda module, inputs, outputs: seen.append(len(inputs[0])))
    found = list(network.detect_volume(volume, batch_size=2))
    assert sum(seen) == 5  # each slice (of `channel`: each stack) once
    stacks = torch.stack([volume[[max(z - 1, 0), z, min(z + 1, 4)]] for z in range(5)])
    expected = network.detect(stacks)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_some_slices_of_a_volume(network):
    volume = torch.rand(6, 32, 32)
    every = list(network.detect_volume(volume))
    for number, found in zip([4, 0, 4], network.detect_volume(volume, [4, 0, 4], batch_size=2), strict=True):
        torch.testing.assert_close(found, every[number], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_parameter_learns_from_objects(fusion):
    network = build(fusion, learn_contrast=True, gate_per_level=True, late_fusion="se").train()
    for name, parameter in network.named_parameters():
        if "gate" in name:
            torch.nn.init.normal_(parameter)
    losses = network(torch.rand(2, 3, 64, 64), [a_square(64), nothing(64)])
    assert set(losses) == set(LOSSES)
    sum(losses.values()).backward()
    without = [
        name
        for name, value in network.named_parameters()
        if value.requires_grad and (value.grad is None or not value.grad.isfinite().all())
    ]
    assert without == []


@pytest.mark.parametrize("late_fusion", ROI_FUSIONS)
def test_slices_without_objects_are_negatives(late_fusion):
    network = build("late", late_fusion=late_fusion).train()
    losses = network(torch.rand(2, 3, 32, 32), [nothing(), nothing()])
    assert losses["loss_mask"] == losses["loss_box_reg"] == losses["loss_rpn_box_reg"] == 0
    assert losses["loss_classifier"] > 0 and losses["loss_objectness"] > 0
    sum(losses.values()).backward()
    # DistributedDataParallel waits for the gradient of every parameter
    assert all(value.grad is not None for value in network.parameters() if value.requires_grad)


def test_targets_are_not_changed(network):
    targets = [a_square()]
    network = copy.deepcopy(network).train()
    network(torch.rand(1, 3, 32, 32), targets)
    torch.testing.assert_close(targets, [a_square()])


def test_metadata_stays_outside(network):
    image = MetaTensor(torch.rand(1, 3, 32, 32))
    assert {type(value) for value in network.detect(image)[0].values()} == {torch.Tensor}


def test_normalization_learns_what_slices_are_like():
    network = build().train()
    before = network.backbone.encoder.bn1.running_mean.clone()
    network(torch.rand(1, 3, 32, 32), [a_square()])
    assert not torch.equal(network.backbone.encoder.bn1.running_mean, before)


def test_anchors_are_those_of_the_knobs():
    anchors = build(anchor_sizes=[8, 16, 32, 64, 128], anchor_ratios=[0.5, 2]).rpn.anchor_generator
    assert anchors.sizes == ((8,), (16,), (32,), (64,), (128,)) and anchors.aspect_ratios == ((0.5, 2),) * len(LEVELS)
    default = build().rpn.anchor_generator
    assert default.sizes == ((16,), (24,), (32,), (48,), (64,)) and default.aspect_ratios[0] == (0.75, 1.0, 1.5)


@pytest.mark.parametrize("shape", [(1, 1, 32, 32), (1, 5, 32, 32), (3, 32, 32), (32, 32)])
def test_other_shapes_are_told(network, shape):
    with pytest.raises(InputError, match=r"expected \(B, 3, Y, X\), stacks of --num_slices 3 gray slices"):
        network.detect(torch.zeros(shape))


def test_volumes_have_three_axes(network):
    with pytest.raises(InputError, match=r"shape \(32, 32\): expected a volume \(Z, Y, X\)"):
        next(network.detect_volume(torch.zeros(32, 32)))


def test_targets_and_training_go_together(network):
    training = copy.deepcopy(network).train()
    with pytest.raises(ValueError, match="targets go with training mode"):
        training(torch.rand(1, 3, 32, 32))
    with pytest.raises(ValueError, match="targets go with training mode"):
        network(torch.rand(1, 3, 32, 32), [a_square()])
    with pytest.raises(ValueError, match=r"call \.eval\(\) before it detects"):
        training.detect(torch.rand(1, 3, 32, 32))
