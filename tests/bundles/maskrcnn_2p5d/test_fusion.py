"""Every kind of fusion gives the features of stacks, and gates begin as their prior."""

import pytest
import torch
from maskrcnn_2p5d.backbones import LEVELS
from maskrcnn_2p5d.common.errors import InputError
from maskrcnn_2p5d.fusion import FUSIONS, SliceFusion, build_fusion
from maskrcnn_2p5d.gates import PRIORS, SliceGate, prior_logits, squeeze
from maskrcnn_2p5d.roi_fusion import ROI_FUSIONS, build_roi_fusion

CHANNELS = 4
GATED = ("se", "windowed", "pixel")
SHARING = (*GATED, "late")


def build(kind: str, num_slices: int = 3, **options) -> SliceFusion:
    knobs = {"prior": "zero", "gate_per_level": False, "window": 3, "late_fusion": "mean"} | options
    return build_fusion(kind, num_slices, CHANNELS, **knobs)


def awaken(module: torch.nn.Module) -> None:
    """Gates begin at zero; make them look at what they see."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)


def features(num_images: int) -> dict[str, torch.Tensor]:
    return {level: torch.randn(num_images, CHANNELS, 8 - i, 10 - i) for i, level in enumerate(LEVELS)}


@pytest.mark.parametrize("kind", FUSIONS)
def test_backbone_sees_what_the_stacks_are_fused_from(kind):
    fusion, slices = build(kind), torch.rand(5, 6, 7)
    images, members = fusion.images(slices, torch.tensor([[0, 1, 2], [1, 2, 3]]))
    assert images.shape[1:] == (fusion.in_channels, 6, 7)
    maps = {level: images.mean(1, keepdim=True).repeat(1, CHANNELS, 1, 1) for level in LEVELS}
    fused = fusion.fuse(maps, members)
    expected = slices[[1, 2]] if kind in ("center", "late") else torch.stack([slices[:3].mean(0), slices[1:4].mean(0)])
    for level in LEVELS:
        torch.testing.assert_close(fused[level][:, 0], expected)


@pytest.mark.parametrize("kind", FUSIONS)
def test_only_fusions_behind_the_backbone_share_slices(kind):
    images, _ = build(kind).images(torch.rand(4, 6, 7), torch.tensor([[0, 1, 2], [1, 2, 3]]))
    assert build(kind).shares_slices == (kind in SHARING)
    assert len(images) == (4 if kind in SHARING else 2)


@pytest.mark.parametrize("kind", SHARING)
def test_a_slice_in_two_stacks_is_as_good_as_two_slices(kind):
    fusion, maps, stacks = build(kind), features(4), torch.tensor([[0, 1, 2], [1, 2, 3]])
    awaken(fusion)
    shared = fusion.fuse(maps, stacks)
    copied = fusion.fuse({level: maps[level][stacks.flatten()] for level in LEVELS}, torch.arange(6).view(2, 3))
    for name in shared:
        torch.testing.assert_close(shared[name], copied[name])


@pytest.mark.parametrize("per_level", [False, True])
@pytest.mark.parametrize("kind", GATED)
def test_equal_slices_are_fused_to_themselves(kind, per_level):
    fusion, maps = build(kind, gate_per_level=per_level), features(1)
    awaken(fusion)
    fused = fusion.fuse(maps, torch.zeros(1, 3, dtype=torch.int64))
    for level in LEVELS:
        torch.testing.assert_close(fused[level], maps[level])


@pytest.mark.parametrize("kind", GATED)
def test_one_gate_or_one_for_every_level(kind):
    assert len(build(kind).gates) == 1
    assert list(build(kind, gate_per_level=True).gates) == list(LEVELS)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("kind", GATED)
def test_gates_begin_as_their_prior(kind, prior):
    maps, weights = features(3), prior_logits(prior, 3).softmax(0)
    fused = build(kind, prior=prior).fuse(maps, torch.arange(3)[None])
    for level in LEVELS:
        torch.testing.assert_close(fused[level][0], (weights[:, None, None, None] * maps[level]).sum(0))


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("kind", GATED)
def test_training_moves_the_prior(kind, prior):
    fusion = build(kind, prior=prior)
    fusion.fuse(features(3), torch.arange(3)[None])["0"].square().sum().backward()
    (gate,) = fusion.gates.values()
    assert gate.prior.grad.abs().min() > 0


def test_prior_is_added_before_the_softmax():
    gate, slices = SliceGate(squeeze(CHANNELS), 3, "gaussian"), torch.randn(3, CHANNELS, 1, 1)
    awaken(gate)
    expected = (gate.score(slices)[:, 0, 0, 0] + gate.prior).softmax(0)
    torch.testing.assert_close(gate(slices, torch.arange(3)[None])[0, :, 0, 0], expected)


def test_priors():
    torch.testing.assert_close(prior_logits("zero", 5).softmax(0), torch.full((5,), 0.2))
    torch.testing.assert_close(prior_logits("center", 5).softmax(0), torch.tensor([0.025, 0.025, 0.9, 0.025, 0.025]))
    bell = prior_logits("gaussian", 5).exp()
    torch.testing.assert_close(bell, torch.tensor([0.1353, 0.6065, 1, 0.6065, 0.1353]), atol=1e-4, rtol=0)
    assert all(prior_logits(kind, 1).softmax(0) == 1 for kind in PRIORS)


def test_a_window_over_everything_is_se():
    se, windowed, maps = build("se"), build("windowed", window=10), features(3)
    awaken(se)
    windowed.load_state_dict(se.state_dict())
    stacks = torch.tensor([[0, 1, 2]])
    torch.testing.assert_close(windowed.fuse(maps, stacks), se.fuse(maps, stacks))


def test_windows_are_gated_one_by_one():
    se, windowed, maps = build("se"), build("windowed", window=3), features(3)
    awaken(se)
    windowed.load_state_dict(se.state_dict())
    fused = windowed.fuse(maps, torch.tensor([[0, 1, 2]]))["0"]
    for window in (slice(3), slice(3)), (slice(6, 8), slice(9, 10)):  # the second is cut off at the corner
        alone = se.fuse({"0": maps["0"][:, :, *window]}, torch.tensor([[0, 1, 2]]))["0"]
        torch.testing.assert_close(fused[:, :, *window], alone)


def test_pixels_are_gated_one_by_one():
    pixel, maps = build("pixel"), features(3)
    awaken(pixel)
    alone = pixel.fuse({"0": maps["0"][:, :, 4:5, 6:7]}, torch.tensor([[0, 1, 2]]))["0"]
    torch.testing.assert_close(pixel.fuse(maps, torch.tensor([[0, 1, 2]]))["0"][:, :, 4:5, 6:7], alone)


def test_late_fusion_hands_all_slices_to_the_mask_head():
    fusion, maps = build("late"), features(4)
    fused = fusion.fuse(maps, torch.tensor([[0, 1, 2], [1, 2, 3]]))
    assert list(fused) == [*LEVELS, *fusion.mask_levels]
    torch.testing.assert_close(fused["0"], maps["0"][[1, 2]])
    torch.testing.assert_close(fused[fusion.mask_levels[1]][1], maps["1"][1:4].flatten(0, 1))


@pytest.mark.parametrize("num_slices", [1, 3])
@pytest.mark.parametrize("kind", ROI_FUSIONS)
def test_boxes_of_all_slices_become_boxes_of_one(kind, num_slices):
    fusion = build_roi_fusion(kind, num_slices, CHANNELS, "center")
    assert fusion(torch.rand(2, num_slices * CHANNELS, 7, 7)).shape == (2, CHANNELS, 7, 7)
    assert fusion(torch.rand(0, num_slices * CHANNELS, 7, 7)).shape == (0, CHANNELS, 7, 7)


@pytest.mark.parametrize("kind", ROI_FUSIONS)
def test_boxes_begin_with_known_weights(kind):
    boxes = torch.rand(2, 3, CHANNELS, 7, 7)
    weights = torch.tensor({"mean": [1 / 3] * 3, "se": [0.05, 0.9, 0.05]}.get(kind, [0.0, 1, 0]))
    fused = build_roi_fusion(kind, 3, CHANNELS, "center")(boxes.flatten(1, 2))
    torch.testing.assert_close(fused, (weights[:, None, None, None] * boxes).sum(1))


@pytest.mark.parametrize("kind", ["conv3d", "se"])
def test_every_parameter_of_a_roi_fusion_learns(kind):
    fusion = build_roi_fusion(kind, 3, CHANNELS, "zero")
    awaken(fusion)
    fusion(torch.randn(2, 3 * CHANNELS, 7, 7)).square().sum().backward()
    assert [name for name, value in fusion.named_parameters() if not value.grad.any()] == []


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("se", {"prior": "flat"}, "--slice_prior flat: unknown; give one of zero, center, gaussian"),
        ("windowed", {"window": 0}, "--window 0"),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(kind, options, message):
    with pytest.raises(InputError, match=message):
        build(kind, **options)


def test_unknown_late_fusion():
    with pytest.raises(InputError, match="--late_fusion max: unknown; give one of mean, center, conv3d, se"):
        build("late", late_fusion="max").mask_head(torch.nn.Identity())
