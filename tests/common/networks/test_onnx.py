"""Graphs give the network's logits at sizes that they were not traced with, and tell what they cannot follow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import torch
from monai.data import MetaTensor

from common.errors import InputError
from common.networks.devonet import DevoNet
from common.networks.onnx import RECORD, SESSIONS, OnnxNetwork, differences, export_onnx

ROOT = Path(__file__).parents[3]
TRACED = (1, 1, 8, 12, 10)


@pytest.fixture(params=SESSIONS)
def engine(request):
    return request.param


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return DevoNet(depth=2, init_channels=2).eval()


@pytest.fixture
def path(network, tmp_path):
    export_onnx(network, tmp_path / "model.onnx", TRACED)
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("shape", [TRACED, (1, 1, 1, 1, 1), (3, 1, 7, 21, 18), (2, 1, 16, 9, 33)], ids=str)
def test_logits_are_the_networks(network, path, shape, engine):
    image = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    found = OnnxNetwork(path, {}, engine)(image)
    with torch.inference_mode():
        torch.testing.assert_close(found, network(image), rtol=0, atol=1e-4)


def test_metadata_and_other_types_are_taken_as_the_network_takes_them(network, path, engine):
    image = torch.rand(TRACED)
    found = OnnxNetwork(path, {}, engine)(MetaTensor(image.double()))
    assert type(found) is torch.Tensor and found.dtype == torch.float32
    with torch.inference_mode():
        torch.testing.assert_close(found, network(image), rtol=0, atol=1e-4)


def test_differences_are_told_for_each_shape(network, path):
    shapes, other = [(1, 1, 9, 9, 9), (2, 1, 5, 6, 7)], DevoNet(depth=2, init_channels=2).eval()
    found = differences(network, OnnxNetwork(path, {}), shapes, (0, 1))
    assert [*found] == ["1x1x9x9x9", "2x1x5x6x7"] and max(found.values()) < 1e-4
    assert min(differences(other, OnnxNetwork(path, {}), shapes, (0, 1)).values()) > 1e-3


def test_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(InputError, match="a.onnx: no such file; .* python -m tools export onnx common"):
        OnnxNetwork(tmp_path / "a.onnx", {})


def test_missing_package_says_how_to_install_it(path, engine, monkeypatch):
    monkeypatch.setitem(sys.modules, engine, None)
    with pytest.raises(InputError, match=f"{engine} is missing: pip install onnx {engine}"):
        OnnxNetwork(path, {}, engine)


def test_unknown_engine_is_refused(path):
    with pytest.raises(InputError, match="engine tensorrt: choose one of onnxruntime, openvino"):
        OnnxNetwork(path, {}, "tensorrt")


def record(path, **values):
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {RECORD: json.dumps(values)})
    onnx.save(model, path)


def test_settings_that_the_file_was_not_made_with_are_refused(path, engine):
    record(path, settings={"init_channels": 2, "sizes": [1, 2]}, seconds_openvino=1)
    OnnxNetwork(path, {"init_channels": 2, "sizes": [1, 2]}, engine)
    with pytest.raises(InputError, match="made with init_channels 2, asked for 4; .* common --init_channels 4"):
        OnnxNetwork(path, {"init_channels": 4}, engine)


def test_file_that_was_not_compared_in_openvino_is_not_for_it(path):
    record(path, settings={}, seconds_onnx=1)
    OnnxNetwork(path, {})
    with pytest.raises(InputError, match="was made without OpenVINO, or OpenVINO did not give PyTorch's results"):
        OnnxNetwork(path, {}, "openvino")


def test_file_that_openvino_cannot_run_is_told(tmp_path):
    pred = onnx.helper.make_tensor_value_info("pred", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Unheard", [], ["pred"], domain="mine")], "graph", [], [pred])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "model.onnx")
    with pytest.raises(InputError, match="OpenVINO cannot run this graph; use --backend onnx or torch"):
        OnnxNetwork(tmp_path / "model.onnx", {}, "openvino")


def test_openvino_reports_to_nobody(path, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    code = f"from common.networks.onnx import OnnxNetwork; OnnxNetwork({str(path)!r}, {{}}, 'openvino')"
    environment = {name: value for name, value in os.environ.items() if name != "CI"}  # where it is silent by itself
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment | {"HOME": str(home)}, check=True)
    assert not list(home.rglob("*openvino*")), "its identifier of this machine"


def test_an_export_that_fails_keeps_the_file_that_was_there(network, tmp_path, monkeypatch):
    def fail(network, inputs, partial, **options):
        Path(partial).touch()
        raise RuntimeError("unsupported")

    (tmp_path / "model.onnx").write_bytes(b"old")
    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(RuntimeError, match="unsupported"):
        export_onnx(network, tmp_path / "model.onnx", TRACED)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("model.onnx", b"old")]
