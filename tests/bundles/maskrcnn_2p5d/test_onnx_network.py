"""The graphs of a stack find the same objects in stacks of other sizes, and in whole volumes."""

from pathlib import Path

import maskrcnn_2p5d
import pytest
import torch
from maskrcnn_2p5d.common.errors import InputError
from maskrcnn_2p5d.fusion import FUSIONS
from maskrcnn_2p5d.inferers import VolumeInstanceInferer
from maskrcnn_2p5d.network import MaskRCNN2p5D
from maskrcnn_2p5d.onnx_network import OnnxNetwork, differences, export_onnx

ROOT = Path(maskrcnn_2p5d.__file__).parents[1]


@pytest.fixture(scope="module")
def network():
    built = MaskRCNN2p5D(slice_prior="gaussian", score_threshold=0.7)
    built.load_state_dict(torch.load(ROOT / "models/model.pt", weights_only=True))
    return built.eval()


@pytest.fixture(scope="module")
def graph(shipped_graph):
    return OnnxNetwork(shipped_graph(ROOT), {})


def draw(depth: int, height: int, width: int) -> torch.Tensor:
    """Round nuclei of several sizes, through all slices."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = torch.hypot((y % 64 - 32).float(), (x % 64 - 32).float())
    noise = 0.05 * torch.rand((depth, height, width), generator=torch.Generator().manual_seed(0))
    return (distance < 12 + 4 * (x > 64)).float() + noise


@pytest.mark.thorough
@pytest.mark.parametrize("size", [(128, 128), (160, 224), (301, 97)], ids=str)
def test_objects_are_the_networks(network, graph, size):
    stacks = torch.stack([draw(3, *size), torch.zeros(3, *size)])
    expected, found = network.detect(stacks), graph.detect(stacks)
    assert len(expected[0]["scores"]) > 1 and len(found[1]["scores"]) == len(expected[1]["scores"]) == 0
    for ours, theirs in zip(expected, found, strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            torch.testing.assert_close(theirs[name], value, rtol=0, atol=1e-3)


def test_openvino_is_refused(tmp_path):
    (tmp_path / "model.onnx").touch()
    with pytest.raises(InputError, match="OpenVINO gives wrong objects for this network; use --backend onnx"):
        OnnxNetwork(tmp_path / "model.onnx", {}, "openvino")


@pytest.mark.slow
@pytest.mark.few("windowed", "late")
@pytest.mark.parametrize("fusion", sorted(FUSIONS))
def test_every_fusion_has_its_graphs(fusion, tmp_path):
    torch.manual_seed(0)
    network = MaskRCNN2p5D(5, fusion, score_threshold=0.0, detections_per_slice=5).eval()
    files = export_onnx(network, tmp_path / "model.onnx", (1, 5, 64, 64))
    assert len(files) == 1 + network.fusion.shares_slices == len([*tmp_path.iterdir()])
    volume, graph = draw(3, 96, 70), OnnxNetwork(tmp_path / "model.onnx", {})
    expected, found = list(network.detect_volume(volume)), list(graph.detect_volume(volume, batch_size=2))
    assert len(expected) == len(found) == 3 and graph.num_slices == 5
    for ours, theirs in zip(expected, found, strict=True):
        assert len(ours["scores"]) > 0
        torch.testing.assert_close(theirs["scores"], ours["scores"], rtol=0, atol=1e-3)


@pytest.mark.thorough
def test_a_slice_passes_the_backbone_once(graph, monkeypatch):
    calls, session = [], graph.session

    class Counting:
        def run(self, *inputs):
            calls.append(inputs[0].shape)
            return session.run(*inputs)

    monkeypatch.setattr(graph, "session", Counting())
    assert len(list(graph.detect_volume(draw(5, 64, 64)))) == 5
    assert calls == [(1, 64, 64)] * 5


@pytest.mark.thorough
def test_a_volume_has_the_same_instances(network, graph):
    volume, inferer = draw(4, 128, 160)[None, None], VolumeInstanceInferer(3, slab=2)
    expected, found = inferer(volume, network), inferer(volume, graph)
    assert expected.max() > 1
    assert (found != expected).float().mean() < 1e-3


@pytest.mark.thorough
def test_other_objects_differ_by_one(network, graph):
    class Nothing:
        def detect(self, image):
            return [{name: value[:0] for name, value in found.items()} for found in network.detect(image)]

    shape = (1, 3, 128, 160)
    assert differences(network, graph, [shape])["1x3x128x160"] < 1e-3
    assert differences(network, Nothing(), [shape]) == {"1x3x128x160": 1.0}
