"""The README's table says what the bundles' metadata say, and nothing else."""

import json
from pathlib import Path

import pytest

from tests.tools.sections import toolbox_section
from tools.card.overview import overview_is_current, overview_table, renew_overview
from tools.card.sections import END, START

ROOT = Path(__file__).parents[3]
ENTRY = {"mean": 0.87659, "n": 22, "units": 2, "unit": "sequence", "dataset": "embryos"}


def put_bundle(root: Path, name: str, eval_metrics: dict, **section: object) -> None:
    configs = root / "bundles" / name / "configs"
    configs.mkdir(parents=True)
    metadata = {"task": "Nuclei", "licences": {"data": "CC-BY-3.0"}, "eval_metrics": eval_metrics}
    metadata["toolbox"] = toolbox_section(metrics={"iou": {"title": "IoU"}, "dice": {"title": "Dice"}}, **section)
    (configs / "metadata.json").write_text(json.dumps(metadata))


def test_row_holds_the_purpose_the_most_important_score_its_origin_and_the_licence(tmp_path):
    put_bundle(tmp_path, "nsn", {"dice": ENTRY | {"mean": 0.9}, "iou": ENTRY}, purpose="spots | dots", weak_on="dust")
    assert overview_table(tmp_path / "bundles").splitlines()[2] == (
        "| [nsn](bundles/nsn/docs/README.md) | spots \\| dots | drawing | dust "
        "| [IoU 0.88](bundles/nsn/docs/README.md#performance) | embryos: n = 22, 2 sequences | CC-BY-3.0 |"
    )


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ([[0.5, 0.5], [0.5, 0.5]], "drawing; trained on pixels of 0.5 µm"),
        ([[0.0049, 0.18]] * 2, "drawing; trained on pixels of 0.0049 to 0.18 µm"),
        ([[2, 2], [0.8, 0.8], [0.8, 0.8]], "drawing; trained on voxels of 2 x 0.8 x 0.8 µm"),
    ],
)
def test_row_tells_for_which_images(tmp_path, sizes, text):
    put_bundle(tmp_path, "nsn", {}, input="volume" if len(sizes) == 3 else "picture", pixel_size_um=sizes)
    assert f"| {text} |" in overview_table(tmp_path / "bundles")


def test_a_figure_stands_under_the_name_of_its_bundle(tmp_path):
    put_bundle(tmp_path, "nsn", {})
    (tmp_path / "bundles" / "nsn" / "docs").mkdir()
    (tmp_path / "bundles" / "nsn" / "docs" / "overlay.png").touch()
    row = overview_table(tmp_path / "bundles").splitlines()[2]
    assert '(bundles/nsn/docs/README.md)<br><img src="bundles/nsn/docs/overlay.png" alt="nsn" width="180"> |' in row


def test_one_unit_is_singular(tmp_path):
    put_bundle(tmp_path, "nsn", {"iou": ENTRY | {"n": 1, "units": 1, "unit": "slide"}})
    assert "| embryos: n = 1, 1 slide |" in overview_table(tmp_path / "bundles")


def test_bundle_without_scores_says_so(tmp_path):
    put_bundle(tmp_path, "nsn", {})
    assert "| not measured | not measured |" in overview_table(tmp_path / "bundles")


def test_renewing_changes_only_what_stands_between_the_markers(tmp_path):
    put_bundle(tmp_path, "nsn", {"iou": ENTRY})
    readme = tmp_path / "README.md"
    readme.write_text(f"# Head\n{START}\nold\n{END}\ntail\n")
    assert not overview_is_current(readme, tmp_path / "bundles")
    renew_overview(readme, tmp_path / "bundles")
    assert overview_is_current(readme, tmp_path / "bundles")
    assert readme.read_text().startswith("# Head\n") and readme.read_text().endswith(f"{END}\ntail\n")


def test_readme_of_this_collection_is_current():
    assert overview_is_current(ROOT / "README.md", ROOT / "bundles")
