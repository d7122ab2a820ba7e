"""Bundles on the Hugging Face Hub: what would be uploaded, to a Hub that stands in for the real one."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import ModelCard
from huggingface_hub.errors import HTTPError
from huggingface_hub.utils import filter_repo_objects

from common.errors import InputError
from tests.tools.share.conftest import BUNDLES, METADATA, SHIPPED
from tools.share.commands import share
from tools.share.hub import check_hub, front_matter, hub_card, push

REAL = huggingface_hub.HfApi


class Hub:
    """Keeps what an HfApi is asked to do; files by their path in the repository."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.files: dict[str, bytes] = {}
        self.tags: set[str] = set()
        self.error: Exception | None = None

    def __call__(self, token: str) -> "Hub":
        assert token == "hf_secret"
        return self

    def create_repo(self, repo_id: str, private: bool, exist_ok: bool) -> None:
        if self.error:
            raise self.error
        assert private and exist_ok
        self.calls.append(("create", repo_id))

    def list_repo_refs(self, repo_id: str) -> SimpleNamespace:
        return SimpleNamespace(tags=[SimpleNamespace(name=tag) for tag in sorted(self.tags)])

    def upload_file(self, repo_id: str, path_or_fileobj: str, path_in_repo: str) -> None:
        self.files[path_in_repo] = Path(path_or_fileobj).read_bytes()

    def upload_folder(
        self, repo_id: str, folder_path: str, commit_message: str, delete_patterns: list[str]
    ) -> SimpleNamespace:
        self.calls.append(("upload", repo_id, commit_message))
        root = Path(folder_path)
        self.files = dict(filter_repo_objects(self.files.items(), ignore_patterns=delete_patterns, key=lambda f: f[0]))
        self.files |= {
            path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
        }
        return SimpleNamespace(commit_url=f"https://hub.example/{repo_id}/commit/1")

    def create_tag(self, repo_id: str, tag: str, exist_ok: bool = False) -> None:
        if tag not in self.tags:
            self.calls.append(("tag", tag))
        self.tags.add(tag)

    def delete_tag(self, repo_id: str, tag: str) -> None:
        self.calls.append(("untag", tag))
        self.tags.remove(tag)


@pytest.fixture
def hub(quick_checks: None, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", hub)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    return hub


def test_upload_is_the_whole_bundle_with_a_readme_tagged_with_its_version(hub, tmp_path):
    written = share("devonet_nsn", str(tmp_path), hub="somebody/nuclei")
    version = METADATA["version"]
    assert hub.calls == [
        *[("create", "somebody/nuclei")] * 2,  # by us, and by MONAI
        ("upload", "somebody/nuclei", f"Version {version}"),
        ("tag", version),
        ("tag", "latest_version"),
    ]
    assert written["somebody/nuclei"] == "https://hub.example/somebody/nuclei/commit/1"
    assert hub.files.pop("README.md").decode() == hub_card(SHIPPED)
    shipped = (path for path in SHIPPED.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert hub.files == {path.relative_to(SHIPPED).as_posix(): path.read_bytes() for path in shipped}


def test_files_of_an_earlier_version_go(hub):
    kept = {".gitattributes": b"", "docs/README.md": b"old", "configs_of_mine/a.json": b""}
    hub.files = kept | {"devonet_nsn/removed.py": b"", "configs/removed.json": b""}
    push(SHIPPED, "somebody/nuclei")
    assert kept.keys() <= hub.files.keys() and not [name for name in hub.files if "removed" in name]
    assert hub.files["docs/README.md"] == (SHIPPED / "docs/README.md").read_bytes()


def test_front_matter_that_the_hub_refuses_is_told(hub, monkeypatch):
    def refuse(**options: object) -> None:
        raise ValueError("Invalid metadata in README.md.\n- license is unknown")

    monkeypatch.setattr(hub, "upload_folder", refuse)
    with pytest.raises(InputError, match="did not take it .Invalid metadata in README.md. - license is unknown"):
        push(SHIPPED, "somebody/nuclei")
    assert METADATA["version"] not in hub.tags


def test_latest_version_moves_to_a_new_one_and_a_version_is_uploaded_once(hub):
    hub.tags = {"0.0.1", "latest_version"}
    push(SHIPPED, "somebody/nuclei")
    assert hub.calls[-2:] == [("untag", "latest_version"), ("tag", "latest_version")]
    hub.calls.clear()
    with pytest.raises(InputError, match=f"has version {METADATA['version']} already"):
        push(SHIPPED, "somebody/nuclei")
    assert hub.calls == [("create", "somebody/nuclei")]


@pytest.mark.parametrize("name", sorted(path.parents[1].name for path in BUNDLES.glob("*/docs/README.md")))
def test_front_matter_is_what_the_hub_reads_from_the_metadata(name):
    bundle = BUNDLES / name
    metadata = json.loads((bundle / "configs/metadata.json").read_text())
    card = ModelCard(hub_card(bundle))
    assert card.data.license == metadata["licences"]["weights"].lower()
    assert card.data.library_name == "monai" and card.data.pipeline_tag == "image-segmentation"
    assert {"monai", "medical-image-segmentation", bundle.name} <= set(card.data.tags)
    assert "datasets" not in card.data.to_dict()
    read = {score.metric_type: score for score in card.data.eval_results or []}
    assert read.keys() == metadata["eval_metrics"].keys()
    for metric, entry in metadata["eval_metrics"].items():
        assert (read[metric].dataset_name, read[metric].dataset_split) == (entry["dataset"], entry["split"])
        assert read[metric].metric_value == pytest.approx(entry["mean"], abs=5.1e-5)


def test_body_is_the_card_and_its_links_lead_from_the_root():
    body = hub_card(SHIPPED).split("---\n", 2)[2].strip()
    card = (SHIPPED / "docs/README.md").read_text().strip()
    assert "](docs/overlay.png)" in body and "](docs/data_license.txt)" in body
    assert body.replace("](docs/", "](") == card


def test_licence_that_the_hub_does_not_know_is_named_and_linked():
    metadata = METADATA | {"licences": {"weights": "BSD-4-Clause"}, "eval_metrics": {}}
    content = front_matter(metadata, "a")
    assert [content[key] for key in ("license", "license_name")] == ["other", "bsd-4-clause"]
    assert content["license_link"] == "docs/data_license.txt" and "model-index" not in content


def test_no_token_is_told_before_anything_is_written(hub, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(InputError, match="no HF_TOKEN in the environment"):
        share("devonet_nsn", str(tmp_path / "out"), hub="somebody/nuclei")
    assert not hub.calls and not (tmp_path / "out").exists()


def test_no_library_is_told(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match="needs huggingface_hub; pip install"):
        check_hub("somebody/nuclei")


@pytest.mark.parametrize("name", ["a/b/c", "nuclei", "somebody/-nuclei", "somebody/nu clei", "somebody/"])
def test_name_that_the_hub_does_not_allow(hub, name):
    with pytest.raises(InputError, match="--hub"):
        check_hub(name)


def test_one_repository_does_not_take_all_bundles(hub, tmp_path):
    with pytest.raises(InputError, match="give the owner alone"):
        share("all", str(tmp_path), hub="somebody/nuclei")


def test_an_owner_gets_a_repository_named_after_the_bundle(hub, tmp_path):
    share("devonet_nsn", str(tmp_path), hub="somebody")
    assert hub.calls[0] == ("create", "somebody/devonet_nsn")


@pytest.mark.parametrize("error", [HTTPError("Connection refused"), OSError("Network is unreachable")])
def test_no_network_is_told_in_one_line(hub, error):
    hub.error = error
    with pytest.raises(InputError, match=r"did not take it \((Connection refused|Network is unreachable)\)"):
        push(SHIPPED, "somebody/nuclei")


def test_a_real_client_without_a_network_is_told(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr("huggingface_hub.HfApi", lambda token: REAL(endpoint="http://127.0.0.1:9", token=token))
    with pytest.raises(InputError, match="the Hub did not take it"):
        push(SHIPPED, "somebody/nuclei")


def test_upload_leaves_nothing_in_the_bundle(hub, copy):
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    push(copy, "somebody/nuclei")
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before
