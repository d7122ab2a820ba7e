"""Overrides: what is mistyped or cannot work is refused before anything runs, what is right passes."""

import re
import shutil

import pytest
from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS

from common.training.overrides import find_misread_paths, find_mistakes, find_wrong_values
from tests.refusals import refusing

SIZE = [32, 64, 64]
KNOWN = {
    "fold": 0,
    "amp": True,
    "spacing": [1.0, 1.0, 1.0],
    "patch_size": SIZE,
    "max_epochs": 5,
    "noise": 0.15,
    "ckpt_path": "none",
}


def test_mistyped_key_names_the_nearest():
    assert find_mistakes({**KNOWN, "foldd": 1}, KNOWN) == ["unknown override --foldd; did you mean --fold?"]


def test_key_like_no_other_lists_all():
    (mistake,) = find_mistakes({"zzz": 1}, KNOWN)
    assert mistake.endswith("known keys are: amp, ckpt_path, fold, max_epochs, noise, patch_size, spacing")


def test_new_key_that_an_override_refers_to_is_no_mistake():
    assert find_mistakes({**KNOWN, "max_epochs": "$@half * 2", "half": 3}, KNOWN) == []


@pytest.mark.parametrize(("word", "meant"), [("true", "True"), ("false", "False"), ("null", "none"), ("None", "none")])
def test_constant_that_arrives_as_a_word(word, meant):
    assert find_mistakes({"amp": word}, KNOWN) == [f"--amp {word} is read as a word; write --amp {meant}"]


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        *[
            ("spacing", value)
            for value in ([0, 1, 1], [-1, 1, 1], [1, 1], 1, "1,1,1", [1, 1, "a"], [1, 1, float("nan")])
        ],
        *[("patch_size", value) for value in ([32, 32], 32, [32, 32, 0], [32, 32, 1.5], [True, 1, 1])],
        *[("fold", value) for value in ("all", -1, 0.5, True)],
        *[("amp", value) for value in ("no", 1, "off")],
        *[("max_epochs", value) for value in (0, -3, 1.5, "many")],
        *[("threshold", value) for value in (0, 1, "0.5")],
        *[("patience", value) for value in (-1, 2.5)],
        *[("ema_decay", value) for value in (-0.1, 1, "0.9")],
        *[("mode", value) for value in ("squash", 1)],
        *[("learning_rate", value) for value in (0, -0.1, float("inf"))],
        *[("noise", value) for value in ("a", "0.1", True)],
    ],
)
def test_value_that_cannot_work(knob, value):
    (mistake,) = find_wrong_values({knob: value}, KNOWN)
    assert mistake.startswith(f"--{knob} {value}: expected ")


@pytest.mark.parametrize(
    "config",
    [
        {"spacing": "none"},
        {"spacing": (2, 0.5, 0.5)},
        {"patch_size": [1, 1, 1]},
        {"fold": 0},
        {"fold": "none"},
        {"learning_rate": 1},
        {"amp": "$torch.cuda.is_available()", "fold": "@seed"},
    ],
)
def test_value_that_works(config):
    assert find_wrong_values(config, KNOWN) == []


def test_pixels_have_a_size_or_what_the_bundle_says_where_nobody_knows_it():
    for unknown, wrong in (("none", 0), (0, "none")):
        assert find_wrong_values({"pixel_size_um": unknown}, {"pixel_size_um": unknown}) == []
        message = f"--pixel_size_um {wrong}: expected a number above 0, or {unknown}"
        assert find_wrong_values({"pixel_size_um": wrong}, {"pixel_size_um": unknown}) == [message]


def test_size_of_a_plane_has_two_numbers():
    plane = {"patch_size": SIZE[1:], "roi_size": SIZE[1:]}
    assert find_wrong_values({"patch_size": [8, 8], "roi_size": "@patch_size"}, plane) == []
    assert find_wrong_values({"patch_size": SIZE}, plane) == [
        "--patch_size [32, 64, 64]: expected two positive whole numbers as [Y,X]"
    ]


def initialized(workflow):
    """The config of a workflow that was not refused."""
    workflow.initialize()
    return workflow.parser


@pytest.mark.parametrize("name", ["train", "inference"])
def test_configs_as_they_are_pass(open_workflow, name):
    assert "network" in initialized(open_workflow(name))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"foldd": 1}, "unknown override --foldd; did you mean --fold?"),
        ({"amp": "false"}, "--amp false is read as a word; write --amp False"),
        ({"spacing": 1}, "--spacing 1: expected three positive numbers as [Z,Y,X] in micrometres, or none"),
        ({"fold": "all"}, "--fold all: expected a whole number from 0, or none"),
    ],
)
def test_mistakes_are_refused_from_python_too(open_workflow, overrides, message):
    with refusing(f"^{re.escape(message)}$"):
        open_workflow("train", **overrides).initialize()


@pytest.mark.parametrize(
    "overrides",
    [
        {"train#trainer#max_epochs": 2},
        {"validate::inferer::enabled": False},
        {"loss": "@losses::dicece"},
        {"spacing": "none", "pretrained": True},
    ],
)
def test_right_overrides_pass(open_workflow, overrides):
    parser = initialized(open_workflow("train", **overrides))
    assert {key: parser[key] for key in overrides} == overrides


def test_keys_that_experiment_tracking_adds_pass(open_workflow, tmp_path):
    settings = {
        "handlers_id": DEFAULT_MLFLOW_SETTINGS["handlers_id"],
        "configs": {**DEFAULT_MLFLOW_SETTINGS["configs"], "save_execute_config": str(tmp_path / "executed.json")},
    }
    assert "network" in initialized(open_workflow("train", tracking=settings))


def test_mistakes_are_found_against_the_bundle_that_runs(open_workflow, bundle_root, tmp_path):
    shutil.copytree(bundle_root / "configs", tmp_path / "configs")
    (tmp_path / "configs" / "special.json").write_text('{"special": 1}')
    assert initialized(open_workflow("inference", bundle_root=str(tmp_path), special=2))["special"] == 2


@pytest.mark.parametrize("name", ["run_name", "tracking", "workflow_type"])
def test_names_that_programs_driving_bundles_add_are_no_mistakes(name):
    """MonaiAlgo gives every client a run_name, whether or not an experiment is tracked."""
    assert find_mistakes({**KNOWN, name: "client_1"}, KNOWN) == []


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("1e3", 1000.0),
        ("2024_01_31", 20240131),
        ("plates,1", ("plates", 1)),
        ("[x]", ["x"]),
        ("True", True),
        ("@home", "@home"),
        ("$lab", "$lab"),
        ("$lab 3", "$lab 3"),
    ],
)
@pytest.mark.parametrize("joined", [True, False])
def test_folder_that_is_read_as_something_else_is_told_how_to_give_it(text, read_as, joined):
    arguments = ["run", *([f"--dataset_dir={text}"] if joined else ["--dataset_dir", text]), "--fold", "0"]
    (mistake,) = find_misread_paths({"dataset_dir": read_as, "fold": 0}, arguments)
    assert mistake.startswith(f"--dataset_dir {text} is read as ")
    assert f"write --dataset_dir ./{text}" in mistake
    assert find_misread_paths({"dataset_dir": f"./{text}"}, ["run", f"--dataset_dir=./{text}"]) == []


@pytest.mark.parametrize("text", ["a b", "~x", "Zellen ä", "a@b", "a%b", "a$b", "-x", "a::b", "none"])
def test_folder_that_is_read_as_it_is_passes(text):
    assert find_misread_paths({"output_dir": text}, ["run", "--output_dir", text]) == []


@pytest.mark.parametrize(
    "value",
    [
        *(
            "@bundle_root",
            "$@bundle_root + '/data'",
            "$os.path.join(@a, 'b')",
            "$pathlib.Path('x')",
            "$os.environ['X']",
        ),
    ],
)
def test_references_and_expressions_are_no_folders(value):
    assert find_misread_paths({"output_dir": value, "bundle_root": "."}) == []


@pytest.mark.parametrize(
    ("text", "read_as"), [("run#3", "run"), ("./run#3", "./run::3"), ("/data/run#3", "/data/run::3")]
)
def test_hash_in_a_path_cannot_be_given(text, read_as):
    assert find_misread_paths({"output_dir": read_as}, ["run", "--output_dir", text]) == [
        f"--output_dir {text}: MONAI takes no # in a name; give a link without it, ln -s '{text}' NAME"
    ]
