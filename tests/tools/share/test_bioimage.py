"""BioImage.IO packages: what they hold, and that BioImage.IO's own test passes on them."""

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
import yaml

from common.errors import InputError
from tests.tools.share.conftest import BUNDLES, METADATA, SHIPPED
from tools.share.bioimage import draw_input, write_package
from tools.share.commands import share
from tools.share.export import export, load_network
from tools.share.rdf import describe

FILES = dict.fromkeys(("README.md", "test_input.npy", "test_output.npy", "model.ts", "overlay.png"), "0" * 64)
SMALL = (16, 32, 32)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shipped bundle's package, small."""
    pytest.importorskip("bioimageio.core", reason="pip install -r requirements.txt")
    path = tmp_path_factory.mktemp("packages") / "package.bioimageio.zip"
    write_package(SHIPPED, path, free_size=SMALL)
    return path


def fake_export(bundle: Path, folder: Path, network_id: str, file: str) -> None:
    """What an export leaves, without a network: an output as the metadata say."""
    metadata = json.loads((bundle / "configs/metadata.json").read_text())
    pred = metadata[f"{network_id or 'network'}_data_format"]["outputs"]["pred"]
    image = np.load(folder / "test_input.npy")
    size = [
        given if isinstance(given, int) else own
        for given, own in zip(pred["spatial_shape"], image.shape[2:], strict=True)
    ]
    (folder / file).touch()
    np.save(folder / "test_output.npy", np.zeros((1, pred["num_channels"], *size), np.float32))


def described(metadata: dict, shape: tuple[int, ...] = (1, 1, 16, 32, 32), **changes: object) -> dict:
    shapes, files = (shape, changes.pop("output", (1, 2, 16, 32, 32))), changes.pop("files", FILES)
    return describe(metadata | changes, "name", shapes, files, timestamp="2026-01-01T00:00:00", format_version="0.5.12")


@pytest.mark.thorough
def test_bioimageios_own_test_passes(package):
    from bioimageio.core import test_model as run_their_test

    summary = run_their_test(package)
    assert summary.status == "passed", summary.format()
    assert any(detail.name.startswith("Reproduce test outputs") for detail in summary.details)


@pytest.mark.parametrize("name", sorted(path.parents[1].name for path in BUNDLES.glob("*/configs/metadata.json")))
def test_bioimageio_takes_the_description_of_every_bundle(name, tmp_path, monkeypatch):
    pytest.importorskip("bioimageio.spec", reason="pip install -r requirements.txt")
    monkeypatch.setattr("tools.share.bioimage._export", fake_export)
    metadata = json.loads((BUNDLES / name / "configs/metadata.json").read_text())
    num_axes = len(metadata["network_data_format"]["inputs"]["image"]["spatial_shape"])
    write_package(BUNDLES / name, tmp_path / "a.zip", free_size=SMALL[-num_axes:])
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        content = yaml.safe_load(archive.read("rdf.yaml"))
    assert content["config"]["monai"]["bundle"] == name and content["license"]


def test_sam_is_described_by_its_segmenter(tmp_path, monkeypatch):
    pytest.importorskip("bioimageio.spec", reason="pip install -r requirements.txt")
    monkeypatch.setattr("tools.share.bioimage._export", fake_export)
    write_package(BUNDLES / "sam_myelin", tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        (output,) = yaml.safe_load(archive.read("rdf.yaml"))["outputs"]
    assert output["axes"][1]["channel_names"] == ["ground", "myelin", "axon"] and output["data"]["range"] == [0, 1]
    sizes = [axis["size"] for axis in output["axes"][2:]]
    assert [(size["tensor_id"], size["axis_id"]) for size in sizes] == [("image", "y"), ("image", "x")]


@pytest.mark.slow
def test_segmenter_is_what_the_network_finds_without_prompts(shared_process):
    image = 255 * torch.rand(1, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    network, alone = (
        load_network(BUNDLES / "sam_myelin", network_id).eval() for network_id in ("", "segmenter_network")
    )
    with torch.inference_mode():
        assert torch.equal(alone(image), network.segment(image).softmax(dim=1))


class Constant(torch.nn.Module):
    def forward(self, image):
        return torch.zeros_like(image)


class Several(torch.nn.Module):
    def forward(self, image):
        return {"pred": image}


class Suppressing(torch.nn.Module):
    def forward(self, image):
        boxes = image.flatten(2)[0, 0, :8].reshape(2, 4)
        return image * torchvision.ops.nms(boxes, boxes[:, 0], 0.5).sum()


class Branching(torch.nn.Module):
    """Which way it goes depends on the image, and a trace keeps one way."""

    def forward(self, image):
        return image if image.max() >= 1 else -image


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Constant(), "gives 0 everywhere for the test image"),
        (Suppressing(), "needs operators of torchvision"),
        (Several(), "gives dict, expected one tensor"),
        (Branching(), "off by .* for an image that it was not traced with"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # of what is deprecated in torch.jit
def test_networks_that_a_package_would_tell_wrong_are_refused(network, message, tmp_path, monkeypatch):
    monkeypatch.setattr("tools.share.export.load_network", lambda bundle, network_id: network)
    np.save(tmp_path / "test_input.npy", np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 1, 8, 8))
    with pytest.raises((TypeError, ValueError), match=message):
        export(tmp_path, tmp_path, "", "model.ts")
    assert [path.name for path in tmp_path.iterdir()] == ["test_input.npy"]


@pytest.mark.thorough
def test_package_holds_what_it_describes(package):
    with zipfile.ZipFile(package) as archive:
        content = yaml.safe_load(archive.read("rdf.yaml"))
        files = {name: archive.read(name) for name in archive.namelist() if name != "rdf.yaml"}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    tensors = [content["inputs"][0]["test_tensor"], content["outputs"][0]["test_tensor"]]
    entries = [content["documentation"], content["weights"]["torchscript"], *content["attachments"], *tensors]
    assert {entry["source"]: entry["sha256"] for entry in entries} == hashes
    assert {"README.md", "data_license.txt", "model.ts", "overlay.png"} <= hashes.keys()
    assert np.load(io.BytesIO(files["test_output.npy"])).shape == (1, 2, *SMALL)
    assert content["license"] == METADATA["licences"]["weights"]
    assert content["config"]["monai"]["licences"] == METADATA["licences"]
    readme = files["README.md"].decode()
    assert "](overlay.png)" in readme and "## Validation" in readme and "1 x 1 x 16 x 32 x 32" in readme


@pytest.mark.slow
def test_share_writes_it_beside_the_zip(quick_checks, tmp_path, monkeypatch):
    monkeypatch.setattr("tools.share.commands.check_bioimage", lambda: None)
    monkeypatch.setattr("tools.share.commands.write_package", lambda bundle, path: path.write_bytes(b"package"))
    written = share("devonet_nsn", str(tmp_path), bioimage=True)
    stem, package = f"devonet_nsn_v{METADATA['version']}", f"devonet_nsn-{METADATA['version']}.bioimageio.zip"
    assert {path.name for path in tmp_path.iterdir()} == {f"{stem}.zip", package, "model_info.json"}
    assert package in written
    assert list(json.loads((tmp_path / "model_info.json").read_text())) == [stem]


def test_a_package_that_fails_leaves_nothing_written(quick_checks, tmp_path, monkeypatch):
    monkeypatch.setattr("tools.share.commands.check_bioimage", lambda: None)

    def fail(bundle: Path, path: Path) -> None:
        raise InputError("no package")

    monkeypatch.setattr("tools.share.commands.write_package", fail)
    with pytest.raises(InputError, match="no package"):
        share("devonet_nsn", str(tmp_path / "out"), bioimage=True)
    assert not (tmp_path / "out").exists()


def test_onnx_stands_in_for_torchscript_where_the_metadata_ask_for_it(tmp_path, monkeypatch):
    network = torch.nn.Conv2d(1, 2, 3, padding=1)
    monkeypatch.setattr("tools.share.export.load_network", lambda bundle, network_id: network)
    np.save(tmp_path / "test_input.npy", draw_input((1, 1, 16, 16), ()))
    export(tmp_path, tmp_path, "", "model.onnx")
    weights = described(METADATA, files=FILES | {"model.onnx": "1" * 64})["weights"]
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "test_input.npy", "test_output.npy"}
    assert weights == {"onnx": {"source": "model.onnx", "sha256": "1" * 64, "opset_version": 17}}


def test_a_network_that_cannot_be_traced_leaves_no_package(tmp_path, monkeypatch):
    pytest.importorskip("bioimageio.spec", reason="pip install -r requirements.txt")
    failed = subprocess.CompletedProcess([], 1, "", "UserWarning: deprecated\nRuntimeError: no network here\n")
    monkeypatch.setattr("tools.share.checks.subprocess.run", lambda *arguments, **options: failed)
    with pytest.raises(InputError, match="cannot be packaged for BioImage.IO: RuntimeError: no network here"):
        write_package(SHIPPED, tmp_path / "a.zip", free_size=SMALL)
    assert not list(tmp_path.iterdir())


def test_no_weights_no_package(copy, tmp_path):
    (copy / "models/model.pt").unlink()
    with pytest.raises(InputError, match="no models/model.pt to export"):
        write_package(copy, tmp_path / "a.zip")


@pytest.mark.parametrize("formats", [{}, {"inputs": {"image": {"num_channels": 1, "spatial_shape": ["*"]}}}])
def test_network_data_format_without_an_image_of_two_or_three_axes(copy, tmp_path, formats):
    path = copy / "configs/metadata.json"
    path.write_text(json.dumps(METADATA | {"network_data_format": formats}))
    with pytest.raises(InputError, match="no image of 2 or 3 axes"):
        write_package(copy, tmp_path / "a.zip")


def test_missing_library_and_string_boolean_are_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bioimageio", None)
    monkeypatch.setitem(sys.modules, "bioimageio.spec", None)
    with pytest.raises(InputError, match="needs bioimageio.spec; pip install"):
        share("devonet_nsn", str(tmp_path / "out"), bioimage=True)
    with pytest.raises(InputError, match="--bioimage false: expected no value, True or False"):
        share("devonet_nsn", str(tmp_path / "out"), bioimage="false")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "metadata",
    [METADATA | {"licences": {"weights": "my own"}}, METADATA | {"version": "newest"}],
    ids=["licence", "version"],
)
def test_metadata_that_bioimageio_refuses_are_named(copy, tmp_path, monkeypatch, metadata):
    pytest.importorskip("bioimageio.spec", reason="pip install -r requirements.txt")
    (copy / "configs/metadata.json").write_text(json.dumps(metadata))
    monkeypatch.setattr("tools.share.bioimage._export", fake_export)
    with pytest.raises(InputError, match="metadata.json: BioImage.IO does not take it"):
        write_package(copy, tmp_path / "a.zip", free_size=SMALL)
    assert not list(tmp_path.glob("*.zip"))


def test_only_references_with_an_address_are_cited():
    references = ["A. https://doi.org/10.1038/x-1", "B. https://arxiv.org/abs/1.", "C. ICML (2019)."]
    assert described(METADATA, references=references)["cite"] == [
        {"text": references[0], "doi": "10.1038/x-1"},
        {"text": references[1], "url": "https://arxiv.org/abs/1"},
    ]


def test_output_follows_the_input_only_where_their_sizes_agree():
    (same,), (other,) = (described(METADATA, **more)["outputs"] for more in ({}, {"output": (1, 2, 1, 8, 8)}))
    assert [axis["size"] for axis in same["axes"][2:]] == [{"tensor_id": "image", "axis_id": axis} for axis in "zyx"]
    assert [axis["size"] for axis in other["axes"][2:]] == [1, 8, 8]


def test_name_keeps_to_the_letters_that_bioimageio_allows():
    assert described(METADATA, name="2.5D Mask R-CNN (H&E)")["name"] == "2-5D Mask R-CNN (H-E)"


@pytest.mark.parametrize(("value_range", "low", "high"), [((0, 255), 0, 255), ((-3, 3), -3, 3)])
def test_drawn_input_keeps_its_range_and_is_the_same_every_time(value_range, low, high):
    drawn = draw_input((1, 3, 64, 64), value_range)
    assert drawn.dtype == np.float32 and drawn.min() >= low and drawn.max() <= high
    assert drawn.std() > 0.1 * (high - low)
    assert np.array_equal(drawn, draw_input((1, 3, 64, 64), value_range))
