"""A comparison runs what is not done, each command as documented, and its tables say what the results say."""

import json
import os
import re
from pathlib import Path

import pytest
import torch

from common.errors import InputError
from tests.tools.runs.conftest import touch_files
from tests.tools.sections import toolbox_section
from tools.__main__ import VERBS
from tools.command_line import run
from tools.runs import executor
from tools.runs.compare import commands
from tools.runs.compare.commands import compare
from tools.runs.compare.knobs import split_values
from tools.runs.plan import validation_override
from tools.runs.results import average_by_image, count_parameters, evaluation_seconds

TRAIN = {"dataset_dir": "", "fold": 0, "output_dir": "", "ckpt_path": "", "pretrained": False, "max_epochs": 9}
TRAIN |= {"architecture": "small", "resume": True, "train": {}, "rate": 0.1, "patch": [4, 4]}
EVALUATE = {
    "pretrained": True,
    "validate#dataset#data": {"_target_": "some_bundle.datalist.evaluation_items", "dataset_dir": "@dataset_dir"},
}
NETWORKS = {"knob": "architecture", "choices": ["small", "large"]}
TRAINING = [("a", "1", 0), ("b", "1", 0), ("c", "2", 1)]
TESTING = [("d", "3"), ("e", "4")]
NAN = float("nan")
# (fold, split) -> scores by image
SCORES = {
    (0, "validation"): {"iou": {"a": 0.5, "b": 0.75}, "f1": {"a": NAN, "b": NAN}},
    (1, "validation"): {"iou": {"c": 1.0}, "f1": {"c": NAN}},
    (0, "testing"): {"iou": {"d": 0.5, "e": 1.0}, "f1": {"d": 0.5, "e": NAN}},
    (1, "testing"): {"iou": {"d": 0.75, "e": 0.5}, "f1": {"d": 1.0, "e": NAN}},
}
SECONDS = {"validation": "00:00:03.000", "testing": "00:00:04.000"}

TOOLBOX = toolbox_section(unit="slide", metrics={"iou": {"title": "IoU"}, "f1": {"title": "F1"}})


@pytest.fixture
def bundles(write_bundles):
    """A collection of some_bundle, which offers two networks, and plain_bundle, which does not."""
    configs = {"train": TRAIN, "evaluate": EVALUATE}
    plain = {"metadata": {"toolbox": TOOLBOX}, **configs}
    return write_bundles(
        some_bundle=plain | {"metadata": {"toolbox": TOOLBOX | {"networks": NETWORKS}}}, plain_bundle=plain
    )


@pytest.fixture
def dataset(tmp_path):
    """Three images of two slides in two folds, two of two other slides for testing."""
    folder = tmp_path / "dataset"
    folder.mkdir()
    training = [{"image": name, "label": "x", "slide": slide, "fold": fold} for name, slide, fold in TRAINING]
    testing = [{"image": name, "label": "x", "slide": slide} for name, slide in TESTING]
    content = {"name": "drawn", "training": training, "testing": testing}
    (folder / "dataset.json").write_text(json.dumps(content))
    return touch_files(folder)


@pytest.fixture
def ran(fake_run, dataset, write_scores):
    """Names of the steps that were run; instead of running, each leaves what it would have written."""

    def train(_, option, output_dir):
        size = {"large": 3_000_000}.get(option.get("--architecture"), 1_250_000)
        weights = {"conv.weight": torch.zeros(size), "bn.running_mean": torch.zeros(7), "bn.n": torch.tensor(1)}
        torch.save(weights, output_dir / "model.pt")
        progress = {"best_epoch": 6 + int(option["--fold"])}
        torch.save({"epoch": 9, "progress": progress}, output_dir / "resume.pt")

    def evaluate(_, option, output_dir):
        scores = SCORES[int(option["--fold"]), output_dir.name]
        write_scores(
            output_dir, {m: {dataset / image: score for image, score in of.items()} for m, of in scores.items()}
        )
        return f"2026-01-01 - INFO - Epoch[1] Complete. Time taken: {SECONDS[output_dir.name]}\n"

    fake_run.train, fake_run.evaluate = train, evaluate
    return fake_run.names


@pytest.fixture
def compared(bundles, dataset, ran):
    """Function that compares some_bundle on the dataset."""

    def call(**options):
        return compare("some_bundle", dataset_dir=str(dataset), output_dir="out", **options)

    return call


def rows(text):
    """First cell -> the others, for each table."""
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("| ")]
    return [{line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]] for line in t} for t in tables]


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:Degrees of freedom", "ignore:All-NaN")
class TestTables:
    def test_one_row_for_each_network(self, compared):
        about, validation, testing = rows(compared())
        assert about["small"] == ["1.25 M", "6, 7", "9, 9", "2.00"]  # 2 x 3 s + 2 x 4 s for 2 + 1 + 2 + 2 images
        assert about["large"][0] == "3.00 M"
        assert validation["architecture"] == testing["architecture"] == ["IoU", "F1"]
        assert validation["small"] == ["0.7500 (0.6250 to 1.0000)", "undefined"]  # slide 1 has 0.625, slide 2 has 1
        assert testing["small"] == ["0.6875 (0.6250 to 0.7500)", "0.7500, n = 1"]  # (0.5 + 0.75) / 2, (1 + 0.5) / 2

    def test_text_says_how_many_and_which_scores_are_optimistic(self, compared):
        text = compared()
        assert "## Validation: n = 3 images of 2 slides" in text and "## Testing: n = 2 images of 2 slides" in text
        assert "Validation chose the epoch of every model, so its scores are optimistic" in text
        assert "Testing chose nothing" in text and "folds 0, 1" in text and "the defaults of train.json" in text

    def test_with_one_slide_there_is_no_interval_and_the_text_says_why(self, compared):
        text = compared(folds="0", networks="small")
        assert rows(text)[1]["small"] == ["0.6250", "undefined"]
        assert "## Validation: n = 2 images of 1 slide\n" in text
        assert "No interval: there is one slide, and a bootstrap needs two." in text

    def test_without_labelled_testing_images_only_validation_is_measured(self, compared, dataset, ran):
        content = json.loads((dataset / "dataset.json").read_text())
        content["testing"] = [{"image": "d"}]
        (dataset / "dataset.json").write_text(json.dumps(content))
        assert "no labelled images under testing" in compared(networks="small")
        assert ran == [
            f"architecture small, fold {fold}: {step}" for fold in (0, 1) for step in ("train", "validation")
        ]

    def test_both_files_are_written(self, compared):
        text = compared(max_epochs="9")
        assert Path("out/compare.md").read_text() == text + "\n" and "Trained with --max_epochs 9." in text
        comparison = json.loads(Path("out/compare.json").read_text())
        testing = comparison["values"]["large"]["splits"]["testing"]["metrics"]["iou"]
        assert testing["unit_means"] == {"3": 0.625, "4": 0.75}
        assert testing["overall_by_fold"] == {"0": 0.75, "1": 0.625}
        assert comparison["values"]["large"]["splits"]["validation"]["metrics"]["f1"]["mean"] is None


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:Degrees of freedom", "ignore:All-NaN")
class TestSteps:
    def test_what_is_done_is_not_run_again(self, compared, ran):
        first = compared()
        assert len(ran) == 2 * 2 * 3
        ran.clear()
        assert compared() == first and ran == []

    def test_interrupted_comparison_goes_on(self, compared, ran):
        compared()
        Path("out/large/fold_1/logs/train.json").unlink()  # as if killed within this training
        ran.clear()
        compared()
        assert ran == [f"architecture large, fold 1: {step}" for step in ("train", "validation", "testing")]

    def test_weights_newer_than_their_evaluation_are_evaluated_again(self, compared, ran):
        compared()
        later = Path("out/small/fold_0/logs/testing.json").stat().st_mtime + 10
        os.utime("out/small/fold_0/model.pt", (later, later))
        ran.clear()
        compared()
        assert ran == ["architecture small, fold 0: validation", "architecture small, fold 0: testing"]

    def test_more_epochs_prolong_what_is_there_but_other_overrides_are_refused(self, compared, ran):
        compared(max_epochs="2", networks="small", folds="0")
        ran.clear()
        compared(max_epochs="9", networks="small", folds="0")
        assert ran == [f"architecture small, fold 0: {step}" for step in ("train", "validation", "testing")]
        with pytest.raises(
            InputError, match="out/small/fold_0: holds a training with --pretrained not given, now .*Tr"
        ):
            compared(max_epochs="9", networks="small", folds="0", pretrained="True")
        compared(networks="small", folds="0", pretrained="True", resume="False")

    def test_step_that_leaves_no_result_is_an_error(self, compared, monkeypatch):
        monkeypatch.setattr(executor, "run_step", lambda *arguments: None)
        with pytest.raises(InputError, match=r"model\.pt: not written by .* small, fold 0: train; see .*train\.log"):
            compared()


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:Degrees of freedom", "ignore:All-NaN")
class TestKnob:
    def test_values_of_any_key_are_compared_in_a_bundle_with_one_network(self, bundles, dataset, ran):
        text = compare("plain_bundle", dataset_dir=str(dataset), knob="rate=0.1,1e-2", folds="0")
        steps = ("train", "validation", "testing")
        assert ran == [f"rate {value}, fold 0: {step}" for value in ("0.1", "1e-2") for step in steps]
        assert all(table.keys() >= {"rate", "0.1", "1e-2"} for table in rows(text))
        assert text.startswith("# plain_bundle on drawn, folds 0: values of rate\n")
        comparison = json.loads(Path("compare/plain_bundle/rate/compare.json").read_text())
        assert comparison["knob"] == "rate" and list(comparison["values"]) == ["0.1", "1e-2"]
        ran.clear()
        assert compare("plain_bundle", dataset_dir=str(dataset), knob="rate=1e-2,0.1", folds="0") and ran == []

    def test_knob_of_the_metadata_is_the_same_comparison_as_networks(self, compared, ran):
        compared(knob="architecture=large", folds="0")
        ran.clear()
        compared(networks="large", folds="0")
        assert ran == []
        compared(knob="architecture", folds="0")
        assert ran == [f"architecture small, fold 0: {step}" for step in ("train", "validation", "testing")]

    def test_default_folder_of_another_knob_is_not_that_of_the_networks(self, bundles, dataset, ran):
        compare("some_bundle", dataset_dir=str(dataset), folds="0", networks="small")
        compare("some_bundle", dataset_dir=str(dataset), folds="0", knob="rate=0.1")
        found = sorted(str(path.parent) for path in Path("compare").rglob("compare.md"))
        assert found == ["compare/some_bundle", "compare/some_bundle/rate"]

    def test_one_folder_is_not_shared_by_two_knobs(self, compared, ran):
        compared(knob="rate=1", folds="0")
        ran.clear()
        with pytest.raises(InputError, match="out: holds a comparison of rate, now it is of patch; give another --out"):
            compared(knob="patch=1", folds="0")
        assert ran == []

    def test_odd_values_get_folders_of_their_own_within_the_output_folder(self, compared, ran):
        values = ["[4, 4]", "[4,4]", "a/b", "a b", "../x", "..", "$max(1, 2) | 3", "x" * 300]
        text = compared(knob="patch=" + ",".join(values), folds="0")
        folders = [path.parents[2] for path in Path("out").rglob("logs/train.json")]
        assert len(set(folders)) == len(values) and {folder.parent for folder in folders} == {Path("out")}
        assert all(re.fullmatch(r"[\w.+-]{1,80}", folder.name) for folder in folders)
        assert list(json.loads(Path("out/compare.json").read_text())["values"]) == values
        assert r"| $max(1, 2) \| 3 " in text
        ran.clear()
        assert compared(knob="patch=" + ",".join(values), folds="0") == text and ran == []


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.1, 1e-2,word,word", ("0.1", "1e-2", "word")),
        ("[1,2],(3,[4,5]),none,", ("[1,2]", "(3,[4,5])", "none")),
        ("{'a': 1, 'b': 2}", ("{'a': 1, 'b': 2}",)),
        ("", ()),
    ],
)
def test_commas_within_brackets_do_not_split(text, values):
    assert split_values("--knob", text) == values


@pytest.mark.parametrize(("text", "match"), [("[1,2", r"\[ is not closed"), ("1],2", r"\] closes nothing")])
def test_brackets_that_do_not_match_are_told(text, match):
    with pytest.raises(InputError, match=f"--knob patch=.*: {match}; separate values by commas, lists in brackets"):
        split_values(f"--knob patch={text}", text)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"knob": "rate=1", "networks": "small"}, "--knob rate=1 and --networks small exclude each other"),
        ({"knob": "architecture=small,huge"}, "--knob architecture=small,huge: huge is unknown; there are small,"),
        ({"knob": "architecture="}, "--knob architecture=: no values; there are small, large"),
        ({"knob": "rate"}, r"--knob rate: no values; give --knob rate=A,B \(only architecture, which .*metadata.json"),
        ({"knob": "rate=,"}, "--knob rate=,: no values; give --knob rate=A,B"),
        ({"knob": "rat=1"}, r"--knob rat: no key at the top of .*train\.json; did you mean rate\?"),
        ({"knob": "train#rate=1"}, "--knob train#rate: no key at the top of"),
        ({"knob": "fold=0,1"}, "--knob fold: compare sets it for each run; choose with --folds"),
        ({"knob": "dataset_dir=a,b"}, "--knob dataset_dir: compare sets it for each run; give another key"),
        ({"knob": "rate=1,2", "rate": "3"}, "--rate: compare sets it for each run; choose with --knob"),
        ({"knobs": "rate=1"}, "unknown override --knobs; did you mean --knob?"),
        ({"networks": "small,huge"}, "--networks small,huge: huge is unknown; there are small, large"),
        ({"folds": "0,7"}, "--folds 0,7: 7 is unknown; there are 0, 1"),
        ({"architecture": "small"}, "--architecture: compare sets it for each run; choose with --networks"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(compared, ran, options, match):
    with pytest.raises(InputError, match=match):
        compared(**options)
    assert ran == [] and not Path("out").exists()


def test_knob_without_values_is_refused_where_the_metadata_name_none(bundles, dataset):
    with pytest.raises(InputError, match=r"--knob rate: no values; give .*\(only a key that the metadata name has"):
        compare("plain_bundle", dataset_dir=str(dataset), knob="rate")


@pytest.fixture
def commands_of(bundles, dataset, fake_run, monkeypatch):
    """Function that returns the commands of a comparison on fold 1, of the small network, without running them."""

    def leave(_, option, output_dir):
        for name in ("model.pt", "resume.pt", "metrics.csv"):
            (output_dir / name).touch()

    def call(**options):
        options = options if "knob" in options else options | {"networks": "small"}
        compare("some_bundle", dataset_dir="dataset", folds="1", output_dir="out", **options)
        return {title.rpartition(" ")[2]: command for title, command in fake_run.commands.items()}

    fake_run.train = fake_run.evaluate = leave
    monkeypatch.setattr(commands, "collect", lambda plan, dataset: {})
    monkeypatch.setattr(commands, "as_text", lambda comparison: "")
    return call


def test_evaluation_commands_load_the_trained_weights_and_keep_what_evaluate_json_sets(commands_of):
    found = commands_of(max_epochs="5", pretrained="False")
    common = (
        "--bundle_root bundles/some_bundle --dataset_dir dataset --fold 1 --architecture small "
        "--output_dir out/small/fold_1/{0} --ckpt_path out/small/fold_1/model.pt --max_epochs 5"
    )
    configs = "'bundles/some_bundle/configs/train.json','bundles/some_bundle/configs/evaluate.json'"
    run_command = "python -m monai.bundle run --config_file"
    assert " ".join(found["testing"]) == f"{run_command} [{configs}] {common.format('testing')}"
    assert " ".join(found["validation"]) == (
        f"{run_command} [{configs},'out/validation.json'] {common.format('validation')}"
    )
    assert "False" in found["train"]


def test_knob_that_evaluate_json_sets_is_left_to_it_in_evaluations(commands_of):
    found = commands_of(knob="pretrained=False")
    assert "--pretrained False" in " ".join(found["train"])
    assert not any("--pretrained" in found[split] for split in ("validation", "testing"))


def test_value_reaches_training_and_evaluations_as_typed(commands_of):
    found = commands_of(knob="patch=[4, 4]")
    for command in found.values():
        assert command[command.index("--patch") + 1] == "[4, 4]"


def test_validation_takes_the_items_of_the_fold(commands_of):
    commands_of()
    assert json.loads(Path("out/validation.json").read_text()) == {
        "validate#dataset#data": {
            "_target_": "some_bundle.datalist.validation_items",
            "dataset_dir": "@dataset_dir",
            "fold": "@fold",
        }
    }


def test_evaluation_without_that_function_is_refused(bundles):
    (bundles / "some_bundle/configs/evaluate.json").write_text('{"validate#dataset#data": "@datalist"}')
    with pytest.raises(
        InputError, match=r'evaluate\.json: validate#dataset#data is "@datalist", expected the _target_'
    ):
        validation_override(bundles / "some_bundle")


def test_bundle_with_one_network_names_those_with_several(bundles, dataset):
    with pytest.raises(InputError, match="plain_bundle has one network only; bundles that offer several: some_bundle"):
        compare("plain_bundle", dataset_dir=str(dataset))


def test_unknown_bundle_and_missing_dataset_are_told(bundles, tmp_path):
    with pytest.raises(InputError, match="some_bundel: neither a bundle's name"):
        compare("some_bundel", dataset_dir=str(tmp_path))
    with pytest.raises(InputError, match="--dataset_dir missing"):
        compare("some_bundle")
    with pytest.raises(InputError, match=r"dataset\.json: no such file"):
        compare("some_bundle", dataset_dir=str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("networks", "match"),
    [
        (["small"], r"networks is \['small'\], expected an object"),
        ({"knob": "backbone", "choices": []}, "the knob 'backbone', which is no key"),
    ],
)
def test_malformed_metadata_is_told(bundles, dataset, networks, match):
    (bundles / "some_bundle/configs/metadata.json").write_text(
        json.dumps({"toolbox": TOOLBOX | {"networks": networks}})
    )
    with pytest.raises(InputError, match=match):
        compare("some_bundle", dataset_dir=str(dataset))


def test_dataset_with_one_fold_cannot_be_compared_on(bundles, dataset):
    items = [{"image": "a", "label": "x", "fold": 0}, {"image": "b", "label": "x", "fold": 1, "annotated_slices": []}]
    (dataset / "dataset.json").write_text(json.dumps({"training": items}))
    with pytest.raises(InputError, match="labelled images of 1 folds under training, expected two at least"):
        compare("some_bundle", dataset_dir=str(dataset))


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:Degrees of freedom", "ignore:All-NaN")
def test_overrides_reach_the_command_as_typed(bundles, dataset, ran, capsys):
    options = ["--dataset_dir", str(dataset), "--networks", "small", "--output_dir", "out", "--max_epochs", "05"]
    assert run(VERBS, ["compare", "some_bundle", *options]) == 0
    assert "--max_epochs 05" in capsys.readouterr().out


def test_scores_of_an_image_are_averaged_over_the_models_that_define_it():
    averages = average_by_image([{"a": 0.5, "b": NAN, "c": NAN}, {"a": 1.0, "b": 0.25, "c": NAN}])
    assert averages == pytest.approx({"a": 0.75, "b": 0.25, "c": NAN}, nan_ok=True)


def test_batch_norm_counts_only_what_is_learned(tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5), torch.nn.BatchNorm2d(4))
    torch.save(network.state_dict(), tmp_path / "model.pt")
    assert count_parameters(tmp_path / "model.pt") == sum(p.numel() for p in network.parameters())


def test_damaged_weights_are_told(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"model\.pt: missing, damaged, or not a PyTorch checkpoint"):
        count_parameters(tmp_path / "model.pt")


def test_seconds_are_those_of_the_evaluator(tmp_path):
    log = tmp_path / "log"
    assert evaluation_seconds(log) is None
    log.write_text(
        "Engine run resuming\nEpoch[1] Complete. Time taken: 01:02:03.500\nEngine run finished. Time taken: 9"
    )
    assert evaluation_seconds(log) == 3723.5
