"""BioImage.IO packages: what they hold, and that BioImage.IO's own test passes on them."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from tools.errors import InputError
from tools.share.bioimage import draw_input, write_package
from tools.share.checks import CHECKS
from tools.share.commands import share
from tools.share.rdf import describe

BUNDLES = Path(__file__).parents[3] / "bundles"
SHIPPED = BUNDLES / "devonet_nsn"
METADATA = json.loads((SHIPPED / "configs/metadata.json").read_text())
FILES = {name: "0" * 64 for name in ("README.md", "test_input.npy", "test_output.npy", "model.ts", "overlay.png")}
SMALL = {3: (16, 32, 32), 2: (64, 64)}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Function that gives a shipped bundle's package, small, written once."""
    pytest.importorskip("bioimageio.core", reason="pip install -r requirements.txt")
    folder = tmp_path_factory.mktemp("packages")

    def write(name: str) -> Path:
        path = folder / f"{name}.bioimageio.zip"
        if not path.exists():
            metadata = json.loads((BUNDLES / name / "configs/metadata.json").read_text())
            num_axes = len(metadata["network_data_format"]["inputs"]["image"]["spatial_shape"])
            write_package(BUNDLES / name, path, free_size=SMALL.get(num_axes))
        return path

    return write


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__")))


def described(metadata: dict, shape: tuple[int, ...] = (1, 1, 16, 32, 32), **changes: object) -> dict:
    shapes = shape, changes.pop("output", (1, 2, 16, 32, 32))
    return describe(metadata | changes, "name", shapes, FILES, timestamp="2026-01-01T00:00:00", format_version="0.5.12")


@pytest.mark.parametrize("name", ["crypt_unet", "devonet_nsn"])  # one of two axes and one of three: each takes a minute
def test_bioimageios_own_test_passes(name, package):
    from bioimageio.core import test_model as run_their_test

    summary = run_their_test(package(name))
    assert summary.status == "passed", summary.format()
    assert any(detail.name.startswith("Reproduce test outputs") for detail in summary.details)


def test_package_holds_what_it_describes(package):
    with zipfile.ZipFile(package(SHIPPED.name)) as archive:
        content = yaml.safe_load(archive.read("rdf.yaml"))
        files = {name: archive.read(name) for name in archive.namelist() if name != "rdf.yaml"}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    tensors = [content["inputs"][0]["test_tensor"], content["outputs"][0]["test_tensor"]]
    entries = [content["documentation"], content["weights"]["torchscript"], *content["attachments"], *tensors]
    assert {entry["source"]: entry["sha256"] for entry in entries} == hashes
    assert {"README.md", "data_license.txt", "model.ts", "overlay.png"} <= hashes.keys()
    assert np.load(io.BytesIO(files["test_output.npy"])).shape == (1, 2, *SMALL[3])
    assert content["license"] == METADATA["licences"]["weights"]
    assert content["config"]["monai"]["licences"] == METADATA["licences"]
    readme = files["README.md"].decode()
    assert "](overlay.png)" in readme and "## Validation" in readme and "1 x 1 x 16 x 32 x 32" in readme


def test_share_writes_it_beside_the_zip(tmp_path, monkeypatch):
    monkeypatch.setattr("tools.share.checks._schema_problems", lambda metadata: [])
    monkeypatch.setitem(CHECKS, "weights", lambda bundle: [])
    monkeypatch.setattr("tools.share.commands.check_bioimage", lambda: None)
    monkeypatch.setattr("tools.share.commands.write_package", lambda bundle, path: path.write_bytes(b"package"))
    written = share("devonet_nsn", str(tmp_path), bioimage=True)
    stem = f"devonet_nsn_v{METADATA['version']}"
    assert {path.name for path in tmp_path.iterdir()} == {
        *(f"{stem}.zip", f"{stem}.bioimageio.zip", "model_info.json")
    } and f"{stem}.bioimageio.zip" in written
    assert list(json.loads((tmp_path / "model_info.json").read_text())) == [stem]


def test_a_network_that_cannot_be_traced_leaves_no_package(copy, tmp_path):
    pytest.importorskip("bioimageio.spec", reason="pip install -r requirements.txt")
    (copy / "devonet_nsn/network.py").write_text("raise RuntimeError('no network here')\n")
    with pytest.raises(InputError, match="ckpt_export failed: .*"):
        write_package(copy, tmp_path / "a.zip", free_size=SMALL[3])
    assert not list(tmp_path.glob("*.zip"))


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
    with pytest.raises(InputError, match="--bioimage false: expected True or False"):
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

    def fake_export(bundle: Path, folder: Path, shape: tuple[int, ...]) -> None:
        (folder / "model.ts").touch()
        np.save(folder / "test_output.npy", np.zeros((1, 2, *shape[2:]), np.float32))

    monkeypatch.setattr("tools.share.bioimage._export", fake_export)
    with pytest.raises(InputError, match="metadata.json: BioImage.IO does not take it"):
        write_package(copy, tmp_path / "a.zip", free_size=SMALL[3])
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
