"""Sharing bundles: what is refused, what is written, and that the same files give the same bytes."""

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from monai.bundle import download

from common.errors import InputError
from tests.tools.share.conftest import METADATA, REAL_CHECK, SHIPPED
from tools.card.sections import replace_section
from tools.share.archive import write_archive
from tools.share.checks import CHECKS, check_bundle
from tools.share.commands import share, verify
from tools.share.export import load_network

pytestmark = pytest.mark.usefixtures("quick_checks")


def edit(path: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def problems(bundle: Path) -> dict[str, list[str]]:
    return {check.name: check.problems for check in check_bundle(bundle) if check.problems}


def test_shipped_bundle_passes_every_check():
    checks = check_bundle(SHIPPED)
    assert [check.name for check in checks] == list(CHECKS) and not any(check.problems for check in checks)


@pytest.mark.parametrize(
    ("damage", "check", "message"),
    [
        (lambda b: edit(b / "configs/metadata.json", lambda m: m.update(version="9")), "version", "9 is not in the"),
        (lambda b: edit(b / "configs/metadata.json", lambda m: m.pop("authors")), "metadata", "lacks authors"),
        (lambda b: (b / "configs/metadata.json").write_text("{"), "metadata", "not a readable JSON"),
        (lambda b: edit(b / "configs/metadata.json", lambda m: m["toolbox"].pop("unit")), "metadata", "lacks unit"),
        (
            lambda b: edit(b / "configs/metadata.json", lambda m: m.update(optional_packages_version={})),
            "metadata",
            "MONAI reads it in the place of required_packages_version",
        ),
        (lambda b: edit(b / "configs/metadata.json", lambda m: m.pop("licences")), "licences", "code, weights, data"),
        (lambda b: (b / "devonet_nsn/new.py").write_text("import pandas\n"), "packages", "new.py needs pandas, which"),
        (lambda b: (b / "models/model.pt").unlink(), "weights", "no models/model.pt"),
        (lambda b: (b / "docs/data_license.txt").unlink(), "licences", "no docs/data_license.txt"),
        (lambda b: (b / "docs/README.md").unlink(), "model card", "no docs/README.md"),
        (lambda b: edit(b / "configs/train.json", lambda c: c.update(dataset_dir="/home/me/x")), "paths", "/home/me/x"),
        (lambda b: (b / "configs/train.json").write_text("{"), "configs", "train.json: Expecting"),
        (lambda b: (b / "docs/big.bin").write_bytes(bytes(25 * 2**20 + 1)), "file sizes", "docs/big.bin has"),
    ],
)
def test_each_defect_is_found_and_nothing_is_written(copy, tmp_path, damage, check, message):
    damage(copy)
    found = problems(copy)
    assert message in "; ".join(found[check])
    with pytest.raises(InputError, match="not a readable JSON|not shared|neither a bundle"):
        share(str(copy), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_told_before_the_bundle_is_checked(tmp_path, monkeypatch):
    monkeypatch.setattr("tools.share.commands.check_bundle", lambda bundle: pytest.fail("checked first"))
    (tmp_path / "file").touch()
    for destination in (tmp_path / "file", tmp_path / "file/new"):
        with pytest.raises(InputError, match=f"{destination}: cannot be written; choose another folder"):
            share("devonet_nsn", str(destination))


def test_bundle_of_others_needs_nothing_that_only_our_tools_read(copy):
    def as_others_have_it(metadata: dict) -> None:
        metadata["required_packages_version"] |= metadata.pop("toolbox")["optional_packages"]
        metadata["eval_metrics"] = {}

    edit(copy / "configs/metadata.json", as_others_have_it)
    card = copy / "docs/README.md"
    card.write_text(replace_section(card.read_text(), ""))
    assert problems(copy) == {}


@pytest.mark.parametrize(
    ("licences", "message"),
    [
        ({"weights": ""}, "lacks weights"),
        ({"weights": "CC BY 4.0"}, "weights: 'CC BY 4.0' is no SPDX identifier"),
        ({"data": ["MIT"]}, "data: ['MIT'] is no SPDX identifier"),
        ({"upstreams": {"a": "MIT"}}, "has upstreams; known: code, weights, data, upstream"),
        ({"upstream": "Apache-2.0"}, "upstream is 'Apache-2.0', expected model -> licence"),
        ({"upstream": {}}, "upstream is {}, expected model -> licence"),
        ({"upstream": {"SAM ViT-B": "see their page"}}, "upstream SAM ViT-B: 'see their page' is no SPDX identifier"),
    ],
)
def test_licences_that_a_program_cannot_tell_are_found(copy, licences, message):
    edit(copy / "configs/metadata.json", lambda metadata: metadata["licences"].update(licences))
    (problem,) = problems(copy)["licences"]
    assert message in problem


def test_upstream_models_have_licences_of_their_own(copy):
    upstream = {"SAM ViT-B": "Apache-2.0", "EfficientNet-B2": "Apache-2.0 AND CC-BY-NC-4.0"}
    edit(copy / "configs/metadata.json", lambda metadata: metadata["licences"].update(upstream=upstream))
    assert "licences" not in problems(copy)


@pytest.mark.parametrize(
    "path", sorted(SHIPPED.parent.glob("*/configs/metadata.json")), ids=lambda path: path.parts[-3]
)
def test_every_bundle_tells_its_licences(path):
    licences = json.loads(path.read_text())["licences"]
    assert not [problem for problem in CHECKS["licences"](path.parents[1]) if problem.startswith("metadata")]
    assert {"code", "weights", "data"} <= licences.keys()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: torch.save({"model": {}}, path), "not a plain state_dict"),
        (lambda path: torch.save({"a": torch.zeros(1)}, path), "Error.s. in loading state_dict"),
        (lambda path: path.write_bytes(b"PK"), "(?i)unpickl|archive|EOF|Weights only"),
    ],
)
def test_weights_that_do_not_load_are_found(copy, shared_process, damage, message):
    damage(copy / "models/model.pt")
    with pytest.raises((TypeError, RuntimeError, InputError), match=message):
        load_network(copy)


@pytest.mark.slow
def test_what_keeps_weights_from_loading_is_told_in_one_line(copy):
    torch.save({"model": {}}, copy / "models/model.pt")
    (problem,) = REAL_CHECK(copy)
    assert "not a plain state_dict" in problem and "\n" not in problem


def test_large_files_may_stand_for_the_weights(copy):
    (copy / "models/model.pt").unlink()
    assert "no models/model.pt, and large_files.yml" in problems(copy)["weights"][0]
    (copy / "large_files.yml").write_text(
        "large_files:\n- path: models/model.pt\n  url: https://example.org/model.pt\n"
    )
    assert "weights" not in problems(copy)


def test_same_files_give_the_same_bytes_whatever_their_times_and_caches(copy, tmp_path):
    write_archive(copy, tmp_path / "first.zip")
    os.utime(copy / "LICENSE", (0, 0))
    for name in ("copy/__pycache__/a.pyc", "output/model.pt", ".cache/x", "models/model.onnx", "models/a.onnx.data"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).touch()
    write_archive(copy, tmp_path / "second.zip")
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "second.zip") as archive:
        assert all(name.startswith("copy/") for name in archive.namelist())
        assert archive.read("copy/models/model.pt") == (copy / "models/model.pt").read_bytes()


def test_model_info_keeps_other_bundles_and_has_the_checksum(tmp_path):
    other = {"other_v1.0.0": {"checksum": "0", "source": "https://example.org/other_v1.0.0.zip"}}
    (tmp_path / "model_info.json").write_text(json.dumps(other))
    told = share("devonet_nsn", str(tmp_path), url="https://example.org/bundles/")
    info = json.loads((tmp_path / "model_info.json").read_text())
    archive = tmp_path / f"devonet_nsn_v{METADATA['version']}.zip"
    assert info.pop(archive.stem) == {
        "checksum": hashlib.sha1(archive.read_bytes()).hexdigest(),
        "source": f"https://example.org/bundles/{archive.name}",
    }
    assert info == other
    assert f"--name devonet_nsn --url https://example.org/bundles/{archive.name} " in told["download devonet_nsn"]


def test_foreign_model_info_is_left_alone(tmp_path):
    (tmp_path / "model_info.json").write_text("[]")
    with pytest.raises(InputError, match="not a model_info.json"):
        share("devonet_nsn", str(tmp_path))
    assert (tmp_path / "model_info.json").read_text() == "[]"


def test_verify_tells_one_line_per_check_and_fails_as_a_whole(copy, capsys):
    (copy / "LICENSE").unlink()
    with pytest.raises(InputError, match=f"copy: 1 of {len(CHECKS)} checks failed: licences"):
        verify(str(copy))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(CHECKS) and "NO  licences: no LICENSE" in lines and "ok  weights" in lines


def test_verify_looks_into_an_archive(tmp_path, capsys):
    write_archive(SHIPPED, tmp_path / "a.zip")
    verify(str(tmp_path / "a.zip"))
    assert capsys.readouterr().out.count("ok  ") == len(CHECKS)


@pytest.mark.parametrize("member", ["../evil.py", "a/../../evil.py", "/evil.py", "..\\evil.py", "C:/evil.py"])
def test_archive_that_writes_elsewhere_is_not_looked_into(tmp_path, member):
    archive = archive_with(member, tmp_path / "a.zip")
    with pytest.raises(InputError, match="lies outside of the archive's folder"):
        verify(str(archive))


@pytest.mark.parametrize("member", ["../evil.py", "a/../../evil.py", "/evil.py"])
def test_archive_that_writes_elsewhere_is_refused_by_monais_download(tmp_path, member):
    archive = archive_with(member, tmp_path / "a.zip")
    (tmp_path / "bundles").mkdir()
    with pytest.raises(ValueError, match="Unsafe path"):
        download("a", bundle_dir=str(tmp_path / "bundles"), url=archive.as_uri(), progress=False)
    assert not list(tmp_path.rglob("evil.py"))


def archive_with(member: str, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "")
    return path


@pytest.mark.parametrize("options", [{"version": "VERSION"}, {}], ids=["version", "latest version"])
def test_release_assets_are_a_source_for_monais_download(tmp_path, monkeypatch, options):
    """As on GitHub: zip files are assets of the release, model_info.json lies in models/ of its tag."""
    version = METADATA["version"]
    share("devonet_nsn", str(tmp_path / "shared"))
    served = {
        f"https://github.com/o/r/releases/download/v1/devonet_nsn_v{version}.zip": f"devonet_nsn_v{version}.zip",
        "https://raw.githubusercontent.com/o/r/v1/models/model_info.json": "model_info.json",
    }

    def fetch(url: str, filepath: Path, **more: object) -> None:
        shutil.copyfile(tmp_path / "shared" / served[url], filepath)

    def get(url: str) -> SimpleNamespace:
        text = (tmp_path / "shared" / served[url]).read_text()
        return SimpleNamespace(text=text, raise_for_status=lambda: None)

    monkeypatch.setattr("monai.bundle.scripts.download_url", fetch)
    monkeypatch.setattr("monai.bundle.scripts.requests.get", get)
    (tmp_path / "empty").mkdir()
    options = dict.fromkeys(options, version)
    download("devonet_nsn", bundle_dir=str(tmp_path / "empty"), source="github", repo="o/r/v1", **options)
    assert (tmp_path / "empty/devonet_nsn/models/model.pt").read_bytes() == (SHIPPED / "models/model.pt").read_bytes()


def test_file_that_is_no_archive(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no")
    with pytest.raises(InputError, match="not a readable zip file"):
        verify(str(tmp_path / "a.zip"))


def test_a_bundle_is_not_packed_into_itself(copy):
    for destination in (copy, copy / "docs"):
        with pytest.raises(InputError, match="lies in the bundle, whose next zip file would hold it"):
            share(str(copy), str(destination))
    assert not list(copy.rglob("*.zip"))
