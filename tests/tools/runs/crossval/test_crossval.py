"""A cross-validation runs what is not done, each command as documented, and its report says what the results say."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from common.errors import InputError
from tests.tools.runs.conftest import touch_files
from tests.tools.sections import toolbox_section
from tools.__main__ import VERBS
from tools.command_line import run
from tools.runs.crossval import pictures
from tools.runs.crossval.commands import crossval

TRAIN = {"dataset_dir": "", "fold": 0, "output_dir": "", "ckpt_path": "", "max_epochs": 9, "threshold": 0.5}
TRAIN |= {"resume": True, "validate": {"key_metric": {"dice": {}}}, "optimizer": {"_target_": "Adam", "lr": "@rate"}}
EVALUATE = {
    "validate#dataset#data": {"_target_": "some.datalist.evaluation_items", "dataset_dir": "@dataset_dir"},
    "validate#handlers": [{"_target_": "MetricsSaver", "metric_details": ["iou", "dice"]}],
}
INFERENCE = {"dataset_dir": "", "output_dir": "", "ckpt_path": "", "threshold": 0.5, "save_probability": False}
TRAINING = [("a", "1", 0), ("b", "1", 0), ("c", "2", 1)]
TESTING = [("d", "3", None), ("e", "4", None)]
FOLD_OF = {name: fold for name, _, fold in TRAINING + TESTING}
STEPS = ("train", "validation", "testing")
SHAPE = (8, 6)
pytestmark = pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:Degrees of freedom", "ignore:All-NaN")

TITLES = {"iou": "IoU", "dice": "Dice", "seg": "SEG"}
TOOLBOX = toolbox_section(unit="slide", metrics={name: {"title": title} for name, title in TITLES.items()})


@pytest.fixture
def bundles(write_bundles):
    """A collection of good and poor, which write probabilities, and shapes, which does not."""
    configs = {"metadata": {"toolbox": TOOLBOX}, "train": TRAIN, "evaluate": EVALUATE, "inference": INFERENCE}
    of_shapes = {key: value for key, value in INFERENCE.items() if key != "save_probability"}
    return write_bundles(good=configs, poor=configs, shapes=configs | {"inference": of_shapes})


@pytest.fixture
def dataset(tmp_path):
    """Three images of two slides in two folds, two of two other slides for testing; the upper half is an object."""
    folder = tmp_path / "dataset"
    (folder / "images").mkdir(parents=True)
    label = np.zeros(SHAPE, np.uint8)
    label[:4, :3], label[:4, 3:] = 1, 2
    for name in FOLD_OF:
        Image.fromarray(np.where(label, 200, 10).astype(np.uint8)).save(folder / f"images/{name}.png")
        Image.fromarray(label).save(folder / f"{name}.png")
    items = [
        {"image": f"images/{name}.png", "label": f"{name}.png", "slide": slide, "fold": fold}
        for name, slide, fold in TRAINING + TESTING
    ]
    write_datalist(folder, [i for i in items if i["fold"] is not None], [i for i in items if i["fold"] is None])
    return folder


def write_datalist(folder, training, testing):
    content = {"name": "drawn", "training": training, "testing": testing}
    (folder / "dataset.json").write_text(json.dumps(content))
    touch_files(folder)


def score_of(bundle, fold, image):
    """A score that is higher for good than for poor, and undefined nowhere."""
    return {"good": 0.75, "poor": 0.5, "shapes": 0.25}[bundle] + fold / 16 + "abcde".index(image) / 128


@pytest.fixture
def stub(fake_run, dataset, write_scores):
    """What replaces the commands; steps in ``fail`` fail, and ``shape_of`` bundles are their probabilities."""

    def train(title, option, output_dir):
        fold = int(option["--fold"])
        best = {"best_epoch": 6 + fold, "best_metric": score_of(_bundle(option), fold, "a")}
        torch.save({"epoch": 9, "progress": best}, output_dir / "resume.pt")
        if title in fake_run.fail:
            raise InputError(f"the step {title!r} failed: killed")
        torch.save({"conv.weight": torch.zeros(1_250_000)}, output_dir / "model.pt")

    def infer(_, option, output_dir):
        bundle, fold = _bundle(option), int(output_dir.parent.name[-1])
        probability = np.zeros(fake_run.shape_of.get(bundle, SHAPE), np.uint8)
        probability[: 4 if bundle == "good" else 2 + 4 * fold] = 200
        mask = Image.fromarray((probability > 100).astype(np.uint8)).resize(SHAPE[::-1])
        for name, _, _ in TESTING:
            Image.fromarray(probability).save(output_dir / f"{name}_prob.png")
            mask.save(output_dir / f"{name}_mask.png")

    def evaluate(_, option, output_dir):
        bundle, fold = _bundle(option), int(option["--fold"])
        wanted = None if output_dir.name == "testing" else fold
        images = [name for name, of in FOLD_OF.items() if of == wanted]
        dice = {dataset / f"images/{image}.png": score_of(bundle, fold, image) for image in images}
        write_scores(output_dir, {"iou": {image: score / 2 for image, score in dice.items()}, "dice": dice})

    fake_run.train, fake_run.infer, fake_run.evaluate = train, infer, evaluate
    fake_run.shape_of, fake_run.fail = {}, ()
    return fake_run


def _bundle(option):
    return Path(option["--bundle_root"]).name


@pytest.fixture
def validated(bundles, dataset, stub):
    """Function that cross-validates bundles on the dataset and returns the text and report.json."""

    def call(*names, output_dir="out", **options):
        text = crossval(*(names or ("good",)), dataset_dir=str(dataset), output_dir=output_dir, **options)
        return text, json.loads(Path(output_dir, "report.json").read_text())

    return call


@pytest.fixture
def quick_pictures(monkeypatch):
    """Instead of plots, which take most of the time, a dot."""

    def draw(path, *_):
        path.parent.mkdir(exist_ok=True)
        Image.new("L", (1, 1)).save(path)

    monkeypatch.setattr(pictures, "draw_courses", draw)
    monkeypatch.setattr(pictures, "draw_scores", draw)


@pytest.mark.usefixtures("quick_pictures")
class TestSteps:
    def test_every_fold_is_trained_evaluated_and_its_probabilities_written(self, validated, stub):
        validated("good", "shapes")
        folds = [f"fold {fold}: {step}" for fold in (0, 1) for step in STEPS]
        expected = [f"{bundle}, {step}" for bundle in ("good", "shapes") for step in folds]
        assert stub.names == [*expected, *(f"good, fold {fold}: inference" for fold in (0, 1))]

    def test_second_call_runs_nothing_and_gives_the_same_report(self, validated, stub):
        first = validated("good", "poor")
        files = ("report.html", "datastats.yaml", "good/fold_0/progress.yaml")
        dates = [Path("out", name).stat().st_mtime_ns for name in files]
        stub.names.clear()
        assert validated("good", "poor") == first and stub.names == []
        assert [Path("out", name).stat().st_mtime_ns for name in files] == dates

    def test_fold_interrupted_half_way_goes_on_alone(self, validated, stub):
        stub.fail = ("good, fold 1: train",)
        with pytest.raises(InputError, match="'good, fold 1: train' failed"):
            validated()
        assert Path("out/good/fold_1/resume.pt").is_file() and not Path("out/report.md").exists()
        stub.fail = ()
        stub.names.clear()
        validated()
        assert stub.names == [f"good, fold 1: {step}" for step in STEPS] + [
            f"good, fold {fold}: inference" for fold in (0, 1)
        ]
        assert "--resume" not in stub.commands["good, fold 1: train"]  # train.json resumes by itself

    def test_lost_probability_is_written_again(self, validated, stub):
        validated()
        Path("out/good/fold_1/inference/d_prob.png").unlink()
        stub.names.clear()
        validated()
        assert stub.names == ["good, fold 1: inference"]

    def test_fewer_folds(self, validated, stub, dataset):
        content = json.loads((dataset / "dataset.json").read_text())
        content["training"][1] |= {"fold": 2, "slide": "5"}
        write_datalist(dataset, content["training"], content["testing"])
        with pytest.raises(InputError, match="--folds 0,3: 3 is unknown; there are 0, 1, 2"):
            validated(folds="0,3")
        assert stub.names == []


@pytest.mark.usefixtures("quick_pictures")
def test_commands(validated, stub):
    validated(max_epochs="5", threshold="0.25")
    common = f"--bundle_root bundles/good --dataset_dir {Path.cwd()}/dataset"
    command = {name: " ".join(words) for name, words in stub.commands.items()}
    assert command["good, fold 1: train"] == (
        f"python -m monai.bundle run training --config_file bundles/good/configs/train.json {common} --fold 1 "
        "--output_dir out/good/fold_1 --max_epochs 5 --threshold 0.25"
    )
    configs = "'bundles/good/configs/train.json','bundles/good/configs/evaluate.json'"
    assert command["good, fold 1: validation"] == (
        f"python -m monai.bundle run --config_file [{configs},'out/good/validation.json'] {common} --fold 1 "
        "--output_dir out/good/fold_1/validation --ckpt_path out/good/fold_1/model.pt --max_epochs 5 --threshold 0.25"
    )
    assert command["good, fold 1: inference"] == (
        f"python -m monai.bundle run --config_file bundles/good/configs/inference.json {common} "
        "--output_dir out/good/fold_1/inference --ckpt_path out/good/fold_1/model.pt --save_probability True "
        "--threshold 0.25"
    )


@pytest.mark.usefixtures("quick_pictures")
def test_only_trainings_go_over_several_processes(validated, stub, bundles):
    (bundles / "good/configs/multi_gpu_train.json").write_text("{}")
    validated(num_processes="2")
    torchrun = "python -m torch.distributed.run --standalone --nproc_per_node 2 -m monai.bundle run training"
    configs = "['bundles/good/configs/train.json','bundles/good/configs/multi_gpu_train.json']"
    assert " ".join(stub.commands["good, fold 0: train"]).startswith(
        f"{torchrun} --config_file {configs} --bundle_root"
    )
    assert "torch.distributed.run" not in {word for name in stub.names[1:3] for word in stub.commands[name]}


@pytest.mark.usefixtures("quick_pictures")
def test_overrides_inside_what_train_json_has_pass_through(validated, stub):
    validated(**{"optimizer#lr": "0.1", "optimizer::eps": "1e-6"})
    command = " ".join(stub.commands["good, fold 0: train"])
    assert command.endswith("--optimizer#lr 0.1 --optimizer::eps 1e-6")


class TestReport:
    def test_scores_of_folds_and_of_all(self, validated):
        text, report = validated()
        assert text.count("one case: none") == 2  # fold 1 has one image, and there are two metrics
        validation = report["bundles"]["good"]["splits"]["validation"]["metrics"]["dice"]
        expected = {"images/a.png": 0.75, "images/b.png": 0.75 + 1 / 128, "images/c.png": 0.75 + 1 / 16 + 2 / 128}
        assert validation["cases"] == pytest.approx(expected, abs=1e-4)
        assert validation["per_fold"]["0"]["mean"] == pytest.approx(0.75 + 0.5 / 128, abs=1e-4)
        assert validation["per_fold"]["0"]["ci95"] is None and validation["per_fold"]["0"]["units"] == 1
        assert validation["pooled"]["mean"] == pytest.approx(np.mean(list(expected.values())), abs=1e-4)
        assert validation["pooled"]["std"] == pytest.approx(np.std(list(expected.values())), abs=1e-4)
        testing = report["bundles"]["good"]["splits"]["testing"]["metrics"]["dice"]
        assert testing["cases"]["images/d.png"] == pytest.approx(
            0.75 + 1 / 32 + 3 / 128, abs=1e-4
        )  # mean of both folds

    def test_bundles_are_ranked_and_paired_on_the_same_cases(self, validated):
        text, report = validated("poor", "good")
        assert [row["name"] for row in report["ranking"]["validation"]] == ["good", "poor"]
        (pair,) = report["pairs"]["validation"]
        assert (pair["first"], pair["second"], pair["n"], pair["wins"]) == ("poor", "good", 3, 0)
        assert pair["mean_difference"] == pytest.approx(-0.25) and pair["rank_biserial"] == -1 and pair["p"] == 0.25
        assert "## Validation" in text and "| poor" in text and "-0.25" in text

    def test_data_and_trainings_are_told(self, validated):
        text, report = validated(max_epochs="9")
        assert report["data"]["cases"] == 3 and report["data"]["foreground_share"] == pytest.approx(0.5)
        assert "3 labelled images; 50.0 % of their pixels are foreground." in text
        assert "trained with --max_epochs 9" in text and "1.25 M" in text
        (entry,) = yaml.safe_load(Path("out/good/fold_1/progress.yaml").read_text())
        assert entry["epoch"] == 7 and entry["best_avg_dice_score"] == 0.8125

    def test_worst_cases_come_with_their_overlays(self, validated):
        text, report = validated("good", "shapes")
        assert [case["case"] for case in report["worst"]["good"]] == ["images/d.png", "images/e.png"]
        assert "(pictures/good_d.png)" in text and Path("out/pictures/good_d.png").is_file()
        assert len(report["worst"]["shapes"]) == 2 and not Path("out/pictures/shapes_d.png").exists()

    def test_page_needs_no_other_file(self, validated):
        validated("good", "poor")
        page = Path("out/report.html").read_text()
        sources = re.findall(r'(?:src|href)="([^"]{0,22})', page)
        assert len(sources) == 3 + 2 * 2 and set(sources) == {"data:image/png;base64,"}
        assert "<table>" in page and page.count("<td>") > 50 and "http" not in page
        assert all(path.stat().st_size > 1000 for path in Path("out/pictures").glob("[ctv]*.png"))

    def test_without_testing_images_there_are_no_ensembles(self, validated, dataset, stub):
        content = json.loads((dataset / "dataset.json").read_text())
        write_datalist(dataset, content["training"], [])
        text, report = validated()
        assert "no labelled images under testing" in text and report["ensembles"] == {}
        assert stub.names == [f"good, fold {fold}: {step}" for fold in (0, 1) for step in STEPS[:2]]


@pytest.mark.usefixtures("quick_pictures")
class TestEnsembles:
    def test_best_n_and_best_by_fold(self, validated):
        text, report = validated("poor", "good", num_best="3")
        members = {name: found["members"] for name, found in report["ensembles"].items()}
        assert members == {
            "best 3": ["good, fold 1", "good, fold 0", "poor, fold 1"],
            "best by fold": ["good, fold 0", "good, fold 1"],
        }
        by_fold = report["ensembles"]["best by fold"]["metrics"]
        assert by_fold["dice"]["cases"] == {"images/d.png": 1.0, "images/e.png": 1.0}
        assert by_fold["iou"]["pooled"] | {"ci95": None} == {
            **{"mean": 1.0, "std": 0.0, "n": 2, "n_undefined": 0, "units": 2, "ci95": None}
        }
        assert "ensemble, best by fold" in {row["name"] for row in report["ranking"]["testing"]}
        assert "| best by fold " in text

    def test_the_same_members_compete_once(self, validated):
        _, report = validated("poor")
        assert len(report["ensembles"]) == 2
        assert [row["name"] for row in report["ranking"]["testing"]] == ["ensemble, best 2", "poor"]

    def test_mean_of_probabilities_decides(self, validated):
        """Rows 0 and 1 by both folds, up to 5 by one, whose half of 200 of 255 is below the threshold."""
        _, report = validated("poor")
        assert report["ensembles"]["best by fold"]["metrics"]["iou"]["cases"]["images/d.png"] == 0.5
        _, report = validated("poor", threshold="0.39", output_dir="other")
        assert report["ensembles"]["best by fold"]["metrics"]["iou"]["cases"]["images/d.png"] == pytest.approx(2 / 3)

    def test_scores_are_kept_until_a_probability_is_newer(self, validated):
        validated("poor")
        (kept,) = Path("out/ensembles").glob("*.json")
        content = json.loads(kept.read_text())
        content["scores"]["iou"]["images/d.png"] = 0.125
        kept.write_text(json.dumps(content))
        assert validated("poor")[1]["ensembles"]["best 2"]["metrics"]["iou"]["cases"]["images/d.png"] == 0.125
        later = kept.stat().st_mtime + 10
        os.utime("out/poor/fold_0/inference/d_prob.png", (later, later))
        assert validated("poor")[1]["ensembles"]["best 2"]["metrics"]["iou"]["cases"]["images/d.png"] == 0.5

    def test_bundle_without_probabilities_takes_no_part_and_the_report_says_so(self, validated):
        text, report = validated("good", "shapes")
        assert "shapes takes no part: it writes objects" in text
        assert all("shapes" not in " ".join(found["members"]) for found in report["ensembles"].values())

    def test_members_of_different_shape_are_refused_after_the_report_is_written(self, validated, stub):
        stub.shape_of = {"poor": (8, 7)}
        with pytest.raises(InputError, match=r"report is written, but .* best 4: .*_prob\.png: shape \(8, 7\), but "):
            validated("good", "poor", num_best="4")
        report = json.loads(Path("out/report.json").read_text())
        assert "refused" in report["ensembles"]["best 4"] and "metrics" in report["ensembles"]["best by fold"]
        assert "is refused: " in Path("out/report.md").read_text()


@pytest.mark.parametrize(
    ("names", "options", "match"),
    [
        (["goood"], {}, "goood: neither a bundle's name .* did you mean good"),
        (["good", "bundles/good"], {}, "has the same name; give every bundle once"),
        (["good"], {"max_epoch": "5"}, "unknown override --max_epoch; did you mean --max_epochs?"),
        (["good"], {"foldss": "2"}, "unknown override --foldss; did you mean --folds?"),
        (["good"], {"fold": "1"}, "--fold: crossval sets it for each run; choose with --folds"),
        (["good"], {"ckpt_path": "x"}, "--ckpt_path: crossval sets it for each run; leave it out"),
        (["good"], {"folds": "1"}, "--folds 1: one fold, expected at least two"),
        (["good"], {"validate#key_metrics": "x"}, "train.json has no key_metrics in validate; did you mean key_metric"),
        (["good"], {"optimizer#lrr#x": "1"}, "train.json has no lrr in optimizer; did you mean lr"),
        (["good"], {"max_epochs#x": "1"}, "train.json has no x in max_epochs; there are no keys"),
        (["good"], {"num_processes": "2"}, r"multi_gpu_train\.json: no such file, .* give --num_processes 1"),
        (["good"], {"num_best": "x"}, "--num_best x: expected a whole number, at least 2"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(validated, stub, names, options, match):
    with pytest.raises(InputError, match=match):
        validated(*names, **options)
    assert stub.names == [] and not Path("out").exists()


def test_bundles_without_a_common_metric_are_refused(validated, bundles, stub):
    handlers = [{"_target_": "MetricsSaver", "metric_details": ["seg"]}]
    (bundles / "poor/configs/evaluate.json").write_text(json.dumps(EVALUATE | {"validate#handlers": handlers}))
    with pytest.raises(
        InputError, match=r"no metric in common \(good: iou, dice; poor: seg\); cross-validate them one"
    ):
        validated("good", "poor")
    assert stub.names == []


@pytest.mark.usefixtures("quick_pictures")
def test_command_line_takes_several_bundles_and_overrides_as_typed(bundles, dataset, stub, capsys):
    options = ["--dataset_dir", str(dataset), "--output_dir", "out", "--max_epochs", "05"]
    assert run(VERBS, ["crossval", "good", "poor", *options]) == 0
    assert "--max_epochs 05" in capsys.readouterr().out
    assert run(VERBS, ["crossval", "gud", *options]) == 1
    assert "did you mean" in capsys.readouterr().err
