"""Windows are shifted in a graph as torchvision shifts them, whatever the size that the graph was traced with."""

import pytest
import torch
from swinunet_livecell.attention import WindowAttention
from swinunet_livecell.common.networks.onnx import SESSIONS, OnnxNetwork, export_onnx
from swinunet_livecell.network import SwinUNet
from torchvision.models.swin_transformer import ShiftedWindowAttention

SIZES = [(7, 7), (14, 7), (5, 30), (15, 22), (28, 28), (1, 8)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("shift", [0, 3])
def test_exported_windows_are_torchvisions(size, shift, monkeypatch):
    torch.manual_seed(0)
    ours = WindowAttention(16, [7, 7], [shift] * 2, 4).eval()
    theirs = ShiftedWindowAttention(16, [7, 7], [shift] * 2, 4).eval()
    theirs.load_state_dict(ours.state_dict())
    features = torch.randn(2, *size, 16)
    with torch.inference_mode():
        expected = theirs(features)
        assert torch.equal(ours(features), expected)
        monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
        torch.testing.assert_close(ours(features), expected, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return SwinUNet((8, 16)).eval()


@pytest.fixture(scope="module", params=[(75, 99), (27, 20)], ids=["traced large", "traced small"])
def path(request, network, tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    export_onnx(network, path, (1, 1, *request.param))
    return path


@pytest.fixture(scope="module", params=SESSIONS)
def graph(request, path):
    return OnnxNetwork(path, {}, request.param)


@pytest.mark.parametrize("shape", [(1, 1, 96, 120), (2, 1, 28, 28), (3, 1, 100, 27), (1, 1, 1, 1)], ids=str)
def test_graph_of_one_size_is_right_for_others(network, graph, shape):
    image = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(graph(image), network(image), rtol=0, atol=1e-4)
