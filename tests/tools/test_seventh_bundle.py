"""A seventh bundle is a folder and nothing else: the tools take it from raw files to its card."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from common.names import stem
from tests.tools.serve.conftest import server_process
from tools.__main__ import VERBS
from tools.bundles import VARIABLE, find_bundle
from tools.card.files import card_disagreements
from tools.card.sections import END, START, replace_eval_metrics, replace_section
from tools.command_line import run
from tools.quickstart import quickstart
from tools.sample.formats import sample_images
from tools.segment.results import read_mask
from tools.share.checks import check_bundle

ROOT = Path(__file__).parents[2]
MODEL, NAME = "devonet_nsn", "spot_net"
TEXT = (".json", ".md", ".py")
BRIEF = {"spacing": [2.0, 1.6, 1.6], "patch_size": [8, 32, 32], "patches_per_volume": 1}
ONE_EPOCH = {"max_epochs": 1, "val_interval": 1}
pytestmark = pytest.mark.slow


def put_bundle(folder: Path) -> Path:
    """A bundle of another name that nothing has been measured of."""
    for file in (ROOT / "bundles" / MODEL).rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".onnx":
            copy = folder / NAME / file.relative_to(ROOT / "bundles" / MODEL).as_posix().replace(MODEL, NAME)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix in TEXT:
                copy.write_text(file.read_text(encoding="utf-8").replace(MODEL, NAME), encoding="utf-8")
            else:
                shutil.copyfile(file, copy)
    metadata, card = folder / NAME / "configs/metadata.json", folder / NAME / "docs/README.md"
    content = json.loads(metadata.read_text(encoding="utf-8"))
    content["toolbox"]["quickstart"] = BRIEF | ONE_EPOCH
    content["toolbox"]["metrics"]["iou"]["title"] = "Overlap of spots"
    metadata.write_text(replace_eval_metrics(json.dumps(content, indent=4), {}), encoding="utf-8")
    card.write_text(replace_section(card.read_text(encoding="utf-8"), ""), encoding="utf-8")
    return folder / NAME


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the quick start gives in a collection of this one bundle, whose weights it then becomes."""
    folder = tmp_path_factory.mktemp("collection")
    (folder / "README.md").write_text(f"# A collection\n\n{START}\n{END}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(folder / "bundles"))
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.chdir(folder)
        put_bundle(folder / "bundles")
        yield quickstart()


@pytest.fixture
def bundle(started: dict[str, Any]) -> Path:
    """The bundle with the weights that the quick start trained and evaluated."""
    trained = Path("quickstart", NAME, "training/model.pt")
    shutil.copy2(trained, find_bundle(NAME) / "models/model.pt")
    return find_bundle(NAME)


def test_quick_start_trains_and_segments_it(started):
    dataset = json.loads(Path("quickstart", NAME, "dataset/dataset.json").read_text())
    assert started["picture"].is_file()
    results = {path.name for path in Path(started["results"]).iterdir()}
    assert {f"{stem(Path(item['image']).name)}_mask.nii.gz" for item in dataset["testing"]} <= results


def test_card_tells_its_scores_under_its_own_titles(bundle, capsys):
    assert run(VERBS, ["card", NAME, str(Path("quickstart", NAME, "evaluation"))]) == 0
    assert card_disagreements(bundle) == []
    assert "| Overlap of spots |" in (bundle / "docs/README.md").read_text(encoding="utf-8")
    overview = Path("README.md").read_text(encoding="utf-8")
    assert f"[{NAME}](bundles/{NAME}/docs/README.md)" in overview and "Overlap of spots" in overview


def test_verify_finds_nothing_wrong(bundle):
    assert [problem for check in check_bundle(bundle) for problem in check.problems] == []


def test_server_segments_a_sample_with_it(bundle, tmp_path):
    with server_process(tmp_path, "all") as (url, _):
        (image, *_) = sample_images(bundle, tmp_path / "samples")
        answer = httpx.post(f"{url}/seg_mask", files={"image": image.read_bytes()}, timeout=120)
    assert answer.status_code == 200, answer.text
    (tmp_path / "mask.nii.gz").write_bytes(answer.content)
    mask, spacing = read_mask(tmp_path / "mask.nii.gz")
    assert mask.shape == read_mask(image)[0].shape and spacing == pytest.approx((2.0, 0.8, 0.8))
    assert set(np.unique(mask)) <= {0, 1}


def test_cross_validation_compares_its_folds(bundle):
    overrides = [word for key, value in (BRIEF | ONE_EPOCH).items() for word in (f"--{key}", str(value))]
    dataset = ["--dataset_dir", str(Path("quickstart", NAME, "dataset")), "--folds", "0,1"]
    assert run(VERBS, ["crossval", NAME, *dataset, *overrides]) == 0
    report = Path("crossval/report.md").read_text(encoding="utf-8")
    assert f"Cross-validation of {NAME}" in report and "Overlap of spots" in report
