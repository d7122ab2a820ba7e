"""Every bundle's graphs: the same probabilities and masks as PyTorch, at sizes that they were not traced with."""

import json
import shutil
import sys
from pathlib import Path

import onnx
import pytest

from common.errors import InputError
from tools.bundles import all_bundles
from tools.command_line import run
from tools.segment.backend import choose_backend, fastest, is_current, read_record
from tools.segment.description import describe_bundle
from tools.segment.loaded import LoadedBundle
from tools.segment.onnx_export import export_bundle

BUNDLES = Path(__file__).parents[3] / "bundles"
VERBS = {"export onnx": ("tools.segment.onnx_export:onnx", "")}


@pytest.mark.slow
@pytest.mark.few("crypt_unet", "devonet_nsn", "devonet_ndn")
@pytest.mark.parametrize("name", [bundle.name for bundle in all_bundles()])
def test_graph_gives_what_the_network_gives(name, shipped_graph):
    path = shipped_graph(BUNDLES / name)
    record = read_record(path)
    assert record["probability_difference"] <= 1e-3 and record["mask_difference"] < 1e-3
    assert ("seconds_openvino" in record) == (name != "maskrcnn_2p5d"), "OpenVINO finds objects in empty stacks"
    assert record["mask_foreground"] > 0, "two empty masks agree whatever made them"
    assert record["shapes"].count("x") > 5 or name == "sam_myelin", "sizes other than the traced one"
    assert record["opset"] == onnx.load(path).opset_import[0].version >= 18
    recorded = json.loads((BUNDLES / name / "configs" / "metadata.json").read_text())["version"]
    assert record["bundle"] == name and record["version"] == recorded
    assert is_current(path, BUNDLES / name / "models" / "model.pt")
    assert not is_current(path, BUNDLES / name / "configs" / "metadata.json")
    (image, *_) = onnx.load(path).graph.input
    sizes = [axis.dim_value for axis in image.type.tensor_type.shape.dim][2:]
    assert sizes == ([672, 672] if name == "sam_myelin" else [0] * len(sizes)), "free where the network allows"


@pytest.mark.thorough
@pytest.mark.parametrize("limit", ["MAX_PROBABILITY", "MAX_MASK"])
def test_graph_that_differs_is_not_kept(limit, tmp_path, monkeypatch):
    monkeypatch.setattr(f"tools.segment.onnx_export.{limit}", 0.0)
    (tmp_path / "model.onnx").write_bytes(b"an older one")
    with pytest.raises(InputError, match="differs from PyTorch .* no file was kept"):
        export_bundle(BUNDLES / "devonet_nsn", tmp_path / "model.onnx")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("model.onnx", b"an older one")]


@pytest.mark.thorough
def test_knobs_of_the_network_belong_to_the_file(shipped_graph):
    bundle = BUNDLES / "maskrcnn_2p5d"
    path = shipped_graph(bundle)
    assert read_record(path)["settings"]["num_slices"] == 3
    LoadedBundle(describe_bundle(bundle, backend="onnx", overrides={"onnx_path": str(path)}))
    overrides = {"onnx_path": str(path), "score_threshold": 0.5}
    with pytest.raises(InputError, match="made with score_threshold 0.7, asked for 0.5"):
        LoadedBundle(describe_bundle(bundle, backend="onnx", overrides=overrides))


@pytest.mark.thorough
def test_knobs_of_the_network_go_into_the_file(tmp_path):
    record = export_bundle(BUNDLES / "maskrcnn_2p5d", tmp_path / "model.onnx", {"score_threshold": 0.5})
    assert record["settings"]["score_threshold"] == 0.5


def test_mistyped_override_is_told_in_one_line(tmp_path, capsys):
    assert run(VERBS, ["export", "onnx", "devonet_nsn", str(tmp_path / "a.onnx"), "--init_chanels", "4"]) == 1
    assert "unknown override --init_chanels; did you mean --init_channels?" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_wrong_destination_and_bundle_are_told(tmp_path, capsys):
    assert run(VERBS, ["export", "onnx", "devonet_nsn", str(tmp_path / "a.pt")]) == 1
    assert "ending in .onnx" in capsys.readouterr().err
    assert run(VERBS, ["export", "onnx", "nothing", str(tmp_path / "a.onnx")]) == 1
    assert "neither a bundle's name nor a folder" in capsys.readouterr().err


def test_backend_onnx_without_a_file_says_how_to_make_it(tmp_path):
    with pytest.raises(InputError, match="tools export onnx devonet_nsn"):
        describe_bundle(BUNDLES / "devonet_nsn", backend="onnx", overrides={"onnx_path": str(tmp_path / "a.onnx")})


@pytest.fixture
def bundle(tmp_path):
    """A folder with weights, and an ONNX file with a record that a test writes."""
    root = tmp_path / "devonet_nsn"
    (root / "models").mkdir(parents=True)
    (root / "models" / "model.pt").write_bytes(b"weights")

    def write(**record):
        graph = onnx.helper.make_graph([], "empty", [], [])
        model = onnx.helper.make_model(graph)
        onnx.helper.set_model_props(model, {"record": json.dumps(record)})
        onnx.save(model, root / "models" / "model.onnx")
        return root

    return write


def test_auto_takes_the_fastest_if_current(bundle, tmp_path, monkeypatch):
    from tools.checksum import checksum

    root = bundle()
    weights = checksum(root / "models" / "model.pt")
    assert choose_backend(bundle(weights_sha256=weights, seconds_onnx=1.0, seconds_torch=2.0), "auto") == "onnx"
    assert choose_backend(bundle(weights_sha256=weights, seconds_onnx=2.0, seconds_torch=1.0), "auto") == "torch"
    assert choose_backend(bundle(weights_sha256="old", seconds_onnx=1.0, seconds_torch=2.0), "auto") == "torch"
    three = {"seconds_torch": 3.0, "seconds_onnx": 2.0, "seconds_openvino": 1.0}
    assert choose_backend(bundle(weights_sha256=weights, **three), "auto") == "openvino"
    monkeypatch.setattr("tools.segment.backend.find_spec", lambda package: package != "openvino" or None)
    assert choose_backend(root, "auto") == "onnx", "where OpenVINO is not installed"
    for backend in ("onnx", "openvino", "torch"):
        assert choose_backend(bundle(), backend) == backend
    shutil.rmtree(root / "models")
    assert choose_backend(root, "auto") == "torch"
    with pytest.raises(InputError, match="auto, torch, onnx, openvino"):
        choose_backend(root, "tensorrt")


def test_file_without_a_record_is_no_reason_to_leave_pytorch():
    assert fastest({}) == "torch"


@pytest.mark.thorough
def test_openvino_that_differs_is_not_recorded_and_not_used(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "openvino_telemetry", None)  # which reports the import
    import openvino

    right = openvino.CompiledModel.__call__
    monkeypatch.setattr(openvino.CompiledModel, "__call__", lambda *given: {"pred": 2 * right(*given)["pred"]})
    root, path = BUNDLES / "devonet_ndn", tmp_path / "model.onnx"
    record = export_bundle(root, path)
    assert "seconds_openvino" not in record and record["seconds_onnx"] > 0 and record["probability_difference"] <= 1e-3
    assert "the file is not for --backend openvino: openvino differs from PyTorch by" in caplog.text
    with pytest.raises(InputError, match="was made without OpenVINO"):
        LoadedBundle(describe_bundle(root, backend="openvino", overrides={"onnx_path": str(path)}))


def test_backend_is_the_engine_of_the_network(tmp_path):
    (tmp_path / "a.onnx").touch()
    given = {"onnx_path": str(tmp_path / "a.onnx")}
    engines = {
        backend: describe_bundle(BUNDLES / "devonet_nsn", backend=backend, overrides=given).overrides.get(
            "network#engine"
        )
        for backend in ("onnx", "openvino")
    }
    assert engines == {"onnx": None, "openvino": "openvino"}, "onnx is what the config says"
