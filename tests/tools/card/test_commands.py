"""What an evaluation measured reaches metadata and model card, and nothing else does."""

import hashlib
import json
import os
from collections.abc import Callable

import numpy as np
import pytest

from common.errors import InputError
from tests.tools.sections import toolbox_section
from tools.bundles import VARIABLE, read_metadata
from tools.card.commands import card
from tools.card.files import card_disagreements
from tools.card.measured import measured_metrics
from tools.card.performance import performance_table
from tools.card.sections import END, START
from tools.toolbox import metrics_of

TITLES = {"iou": "IoU", "dice": "Dice", "seg": "SEG", "det": "DET", "f1": "F1", "precision": "Precision"}
METRICS = {name: {"title": title} for name, title in TITLES.items()}
METRICS["count_error"] = {"title": "Count error", "unit": "nuclei", "lower_is_better": True}
METADATA = f"""{{
    "name": "maška",
    "toolbox": {json.dumps(toolbox_section(unit="sequence", metrics=METRICS))},
    "eval_metrics": {{}},
    "shape": ["*", "*"], "odd":   1
}}
"""
CARD = f"# Card\n\n## Performance\n{START}\n{END}\n\n## Data\n"
SEQUENCES = ("01", "01", "02", "03")
SCORES = {"iou": [0.5, 0.7, 0.8, 0.9], "dice": [0.6, 0.8, 0.9, 1.0]}
WEIGHTS = b"weights"


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """A bundle that is evaluated nowhere yet, in a collection of its own."""
    folder = tmp_path / "bundles/some_bundle"
    contents = {"configs/metadata.json": METADATA, "docs/README.md": CARD}
    for name, text in contents.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "models").mkdir()
    (folder / "models/model.pt").write_bytes(WEIGHTS)
    os.utime(folder / "models/model.pt", (0, 0))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "bundles"))
    return folder


@pytest.fixture
def dataset(tmp_path):
    """Function that writes a dataset.json with four images under testing, and returns the images."""

    def write(unit_key="sequence", **further):
        folder = tmp_path / "dataset"
        folder.mkdir(exist_ok=True)
        items = [{"image": f"images/{index},a.nii.gz"} for index in range(len(SEQUENCES))]
        for item, sequence in zip(items, SEQUENCES, strict=True):
            item.update({unit_key: sequence} if unit_key else {})
        (folder / "dataset.json").write_text(json.dumps({"name": "drawn", "testing": items} | further))
        return [str(folder / item["image"]) for item in items]

    return write


@pytest.fixture
def evaluate(write_scores, tmp_path):
    """Function that writes what MetricsSaver does; its folder."""

    def write(images, scores=SCORES, **pooled):
        of_images = {metric: dict(zip(images, values, strict=True)) for metric, values in scores.items()}
        write_scores(tmp_path / "evaluation", of_images, **pooled)
        return tmp_path / "evaluation"

    return write


def eval_metrics(bundle):
    return json.loads((bundle / "configs/metadata.json").read_text(encoding="utf-8"))["eval_metrics"]


def test_both_files_say_what_was_measured(bundle, dataset, evaluate):
    output_dir = evaluate(dataset())
    assert card("some_bundle", str(output_dir))["iou"] == "0.7250, n = 4"
    assert eval_metrics(bundle)["iou"] == {
        "mean": pytest.approx(0.725),
        "std": pytest.approx(np.std(SCORES["iou"])),
        "n": 4,
        "n_undefined": 0,
        "units": 3,
        "ci95": [pytest.approx(0.6), pytest.approx(0.9)],
        "unit": "sequence",
        "unit_means": {"01": pytest.approx(0.6), "02": pytest.approx(0.8), "03": pytest.approx(0.9)},
        "dataset": "drawn",
        "split": "testing",
        "checkpoint_sha256": hashlib.sha256(WEIGHTS).hexdigest(),
    }
    text = (bundle / "docs/README.md").read_text(encoding="utf-8")
    assert f"{START}\n\n{performance_table(eval_metrics(bundle), metrics_of(read_metadata(bundle)))}\n\n{END}" in text
    assert "| 01 | 0.6000 | 0.7000 |" in text and "| 3 sequences |" in text and "evaluate.json" in text
    assert card_disagreements(bundle) == []


def test_everything_else_keeps_its_bytes(bundle, dataset, evaluate):
    card("some_bundle", str(evaluate(dataset())))
    metadata = (bundle / "configs/metadata.json").read_bytes().decode()
    head, tail = METADATA.split('{},\n    "shape"')
    assert metadata.startswith(head) and metadata.endswith(tail) and '"ci95": [' in metadata
    before, after = CARD.split(f"{START}\n{END}")
    text = (bundle / "docs/README.md").read_bytes().decode()
    assert text.startswith(before) and text.endswith(after)


def test_second_run_changes_no_byte_and_leaves_nothing_beside(bundle, dataset, evaluate):
    output_dir = str(evaluate(dataset()))
    states = []
    for _ in range(2):
        card(str(bundle), output_dir)
        states.append({path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()})
    assert states[0] == states[1] and len(states[0]) == 3


@pytest.mark.filterwarnings("ignore:Mean of empty slice")  # MONAI's writer, about the undefined case
def test_pooled_score_keeps_the_mean_per_case_beside_it(bundle, dataset, evaluate):
    output_dir = evaluate(dataset(), {"seg": [0.5, 0.7, np.nan, 0.9]}, seg=0.65)
    entry = measured_metrics(output_dir, bundle)["seg"]
    assert (entry["mean"], entry["mean_per_case"]) == (0.65, pytest.approx(0.7))
    assert (entry["n"], entry["n_undefined"], entry["units"]) == (3, 1, 2)
    assert "| SEG | 0.6500 | 0.7000 ± 0.1633 | 0.6000 to 0.9000 | 3 (1 more undefined) |" in performance_table(
        {"seg": entry}, metrics_of(read_metadata(bundle))
    )


@pytest.mark.parametrize("unit_key", ["sequence", "subject", "slide", "region"])
def test_units_are_what_folds_split_by(bundle, dataset, evaluate, unit_key):
    metadata = bundle / "configs/metadata.json"
    other = {"region": "slide"}.get(unit_key, unit_key)  # of a region dataset.json tells
    metadata.write_text(METADATA.replace('"unit": "sequence"', f'"unit": "{other}"'), encoding="utf-8")
    images = dataset(unit_key, unit=unit_key) if unit_key == "region" else dataset(unit_key)
    entry = measured_metrics(evaluate(images), bundle)["iou"]
    assert (entry["unit"], entry["units"]) == (unit_key, 3)


def test_without_a_unit_each_case_is_one(bundle, dataset, evaluate):
    entry = measured_metrics(evaluate(dataset(None)), bundle)["iou"]
    assert (entry["unit"], entry["units"]) == ("case", 4)
    assert "unit_means" not in entry


@pytest.mark.parametrize("metric", ["precision", "count_error"])
def test_whatever_the_metadata_describe_reaches_the_card(bundle, dataset, evaluate, metric):
    output_dir = evaluate(dataset(), {"iou": SCORES["iou"], metric: [1.0, 0.0, 2.0, 0.0]})
    unit = " nuclei" if metric == "count_error" else ""
    assert card("some_bundle", str(output_dir))[metric] == f"0.7500{unit}, n = 4"
    assert f"| {METRICS[metric]['title']} | 0.7500{unit} |" in (bundle / "docs/README.md").read_text(encoding="utf-8")


def test_title_is_changed_in_the_metadata_alone(bundle, dataset, evaluate):
    card("some_bundle", str(evaluate(dataset())))
    metadata = bundle / "configs/metadata.json"
    text = metadata.read_text(encoding="utf-8")
    metadata.write_text(text.replace('"title": "IoU"', '"title": "Jaccard"'), encoding="utf-8")
    assert "Performance is not what" in card_disagreements(bundle)[0]
    renamed = metadata.read_bytes()
    card("all")
    assert card_disagreements(bundle) == [] and metadata.read_bytes() == renamed
    assert "| Jaccard | 0.7250 |" in (bundle / "docs/README.md").read_text(encoding="utf-8")


def test_second_evaluation_of_the_same_weights_adds_its_metrics(bundle, dataset, evaluate):
    images = dataset()
    for metric in ("iou", "dice"):
        card("some_bundle", str(evaluate(images, {metric: SCORES[metric]})))
    assert list(eval_metrics(bundle)) == ["iou", "dice"]


def test_scores_on_truth_that_was_moved_onto_the_images_stand_beside_the_raw_ones(bundle, dataset, evaluate):
    card("some_bundle", str(evaluate(dataset())))
    moved = {"02": {"moved_by": [0.0, -0.5, 0.0]}, "03": {"moved_by": [0.0, 0.0, 0.0]}}
    images = dataset(name="drawn, truth aligned", alignment=moved)
    shown = card("some_bundle", str(evaluate(images, {"iou": [0.6, 0.8, 0.9, 1.0]})))
    assert shown["iou_aligned"] == "0.8250, n = 4"
    measured = eval_metrics(bundle)
    assert list(measured) == ["iou", "dice", "iou_aligned"]
    assert measured["iou"]["dataset"] == "drawn" and measured["iou_aligned"]["dataset"] == "drawn, truth aligned"
    assert "| IoU, truth aligned | 0.8250 |" in (bundle / "docs/README.md").read_text(encoding="utf-8")
    assert card_disagreements(bundle) == []


def test_measured_but_unmoved_truth_is_raw(bundle, dataset, evaluate):
    images = dataset(alignment={"01": {"moved_by": [0.0, 0.0, 0.0]}})
    card("some_bundle", str(evaluate(images)))
    assert set(eval_metrics(bundle)) == set(SCORES)


def test_other_weights_drop_what_the_former_measured(bundle, dataset, evaluate):
    images = dataset()
    card("some_bundle", str(evaluate(images, {"iou": SCORES["iou"]})))
    (bundle / "models/model.pt").write_bytes(b"better")
    card("some_bundle", str(evaluate(images, {"dice": SCORES["dice"]})))
    assert list(eval_metrics(bundle)) == ["dice"]


def test_disagreements_are_named(bundle, dataset, evaluate):
    assert card_disagreements(bundle) == []  # nothing measured, nothing written
    card("some_bundle", str(evaluate(dataset(), {"iou": SCORES["iou"]})))
    path = bundle / "docs/README.md"
    path.write_text(path.read_text(encoding="utf-8").replace("0.7250", "0.9999"), encoding="utf-8")
    (bundle / "models/model.pt").write_bytes(b"other")
    table, checksum = card_disagreements(bundle)
    assert "Performance is not what configs/metadata.json says" in table
    assert "iou was measured with other weights" in checksum
    (bundle / "models/model.pt").unlink()
    assert "model.pt: no such file" in card_disagreements(bundle)[1]
    path.write_text("# Card")
    assert card_disagreements(bundle) == [f"{path}: {_missing_markers()}"]


def _missing_markers():
    return f"expected the lines {START} and {END}, once each; put them under the heading Performance"


def replaced(old: str, new: str, count: int = -1) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, count)


METRICS_CSV, RAW, DATALIST = "evaluation/metrics.csv", "evaluation/iou_raw.csv", "dataset/dataset.json"
METADATA_JSON, README = "bundles/some_bundle/configs/metadata.json", "bundles/some_bundle/docs/README.md"
MODEL = "bundles/some_bundle/models/model.pt"


@pytest.mark.parametrize(
    ("path", "change", "match"),
    [
        (METRICS_CSV, None, r"evaluation/metrics\.csv: no such file; run the bundle's evaluation"),
        (METRICS_CSV, lambda text: "loss,0.1\n", r"metrics\.csv: found loss, expected some of iou, dice, seg, det, f1"),
        (METRICS_CSV, lambda text: "iou,nan\n", r"metrics\.csv: iou is nan, no case defines it"),
        (RAW, None, r"iou_raw\.csv: no such file, but metrics\.csv has iou"),
        (RAW, lambda text: "a,b\n", r"iou_raw\.csv: first line 'a,b', expected filename"),
        (
            RAW,
            lambda text: "\n".join(text.splitlines()[:-1]),
            r"iou_raw\.csv: 3 defined cases, 4 in iou_summary\.csv; evaluate again",
        ),
        (RAW, replaced("/3,a", "/4,a"), r"iou_raw\.csv and dice_raw\.csv list other images"),
        (RAW, replaced("/3,a", "/2,a"), r"iou_raw\.csv: .*/2,a\.nii\.gz occurs more than once"),
        (RAW, replaced(",0.9", ",high"), r"iou_raw\.csv: 'high', expected a number"),
        (DATALIST, None, r"0,a\.nii\.gz: no dataset\.json in its folder or above"),
        (DATALIST, replaced("testing", "training"), r"dataset\.json: .*0,a\.nii\.gz is not under testing"),
        (DATALIST, replaced('"sequence"', '"note"', 1), r"dataset\.json: images/0,a\.nii\.gz has no 'sequence'"),
        (DATALIST, lambda text: "{", r"dataset\.json: not a MONAI datalist"),
        (MODEL, None, r"models/model\.pt: no such file; ship the weights"),
        (MODEL, str, r"metrics\.csv: older than .*model\.pt, so of other weights"),
        (README, None, r"docs/README\.md: no such file; write the model card first"),
        (
            README,
            replaced(START, ""),
            r"docs/README\.md: expected the lines <!-- performance: .*heading Performance",
        ),
        (
            METADATA_JSON,
            lambda text: json.dumps(json.loads(text), indent=2),
            r"metadata\.json: no line that starts with 4 spaces",
        ),
    ],
)
def test_bad_input_is_named_and_changes_nothing(bundle, dataset, evaluate, tmp_path, path, change, match):
    output_dir = evaluate(dataset())
    if change is None:
        (tmp_path / path).unlink()
    else:
        (tmp_path / path).write_text(change((tmp_path / path).read_text(encoding="utf-8")), encoding="utf-8")
    if path == MODEL and change:
        later = (output_dir / "metrics.csv").stat().st_mtime + 1
        os.utime(tmp_path / path, (later, later))
    before = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=match):
        card("some_bundle", str(output_dir))
    assert {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()} == before


def test_two_datasets_are_refused(bundle, dataset, evaluate, tmp_path):
    images = dataset()
    other = tmp_path / "other/images/9.nii.gz"
    other.parent.mkdir(parents=True)
    (tmp_path / "other/dataset.json").write_text('{"name": "other", "testing": [{"image": "images/9.nii.gz"}]}')
    with pytest.raises(InputError, match="images of 2 datasets"):
        measured_metrics(evaluate([*images[:3], str(other)]), bundle)
