"""A search goes on where it stopped, shares its study, survives failures, and ends in what train.json takes."""

import csv
import itertools
import json
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from monai.bundle import ConfigParser
from optuna.trial import TrialState, create_trial

from common.errors import InputError
from tests.tools.runs.conftest import touch_files
from tests.tools.sections import toolbox_section
from tools.__main__ import VERBS
from tools.command_line import run
from tools.runs.tune import pruning, trials
from tools.runs.tune.commands import tune
from tools.runs.tune.results import importances
from tools.runs.tune.storage import URL_VARIABLE, open_storage

TRAIN = {"dataset_dir": "", "fold": 0, "output_dir": "", "ckpt_path": "", "max_epochs": 3, "num_workers": 0}
TRAIN |= {"rate": 0.1, "patch": [4, 4], "train": {"handlers": []}, "validate": {"key_metric": {"dice": {}}}}
SPACE = {
    "rate": {"type": "float", "low": 0.01, "high": 1, "log": True},
    "patch": {"type": "categorical", "choices": [[2, 2], [4, 4], [8, 8]]},
}


@pytest.fixture
def bundle(write_bundles, monkeypatch):
    """A bundle some_bundle, as far as a search reads it."""
    monkeypatch.setenv(URL_VARIABLE, "")
    metadata = {"toolbox": toolbox_section(metrics={"dice": {"title": "Dice"}})}
    return write_bundles(some_bundle={"metadata": metadata, "train": TRAIN}) / "some_bundle"


@pytest.fixture
def dataset(tmp_path):
    """One image in each of two folds."""
    (tmp_path / "data").mkdir()
    items = [{"image": name, "label": name, "fold": fold} for fold, name in enumerate("ab")]
    (tmp_path / "data/dataset.json").write_text(json.dumps({"training": items}))
    (tmp_path / "space.json").write_text(json.dumps(SPACE))
    return touch_files(tmp_path / "data")


@pytest.fixture
def stub(monkeypatch, train):
    """What replaces the commands: tiny engines with the handler from the command's config file."""

    class Stub:
        configs, commands, courses, failing = [], [], {}, {}

        def __call__(self, name, command, log):
            self.commands.append(command)
            words = dict(itertools.pairwise(command))
            config = json.loads(Path(re.findall(r"'([^']+)'", words["--config_file"])[1]).read_text())
            (handler,) = config.pop("+train#handlers")
            self.configs.append(config)
            number = int(words["--output_dir"][-4:])
            if number in self.failing:
                raise self.failing[number]
            storage = os.environ[handler["storage"]["key"]]
            scores = self.courses.get(number, [0.4, 0.5 + number / 100, 0.3])
            train(scores, handler["study_name"], storage, handler["trial_id"], handler["prune_after"])

    found = Stub()
    found.configs, found.commands, found.courses, found.failing = [], [], {}, {}
    monkeypatch.setattr(trials, "run_step", found)
    return found


@pytest.fixture
def tuned(bundle, dataset, stub):
    """Function that tunes some_bundle on the dataset."""

    def call(num_trials, **options):
        options = {"space": "space.json", "output_dir": "out"} | options
        return tune("some_bundle", dataset_dir=str(dataset), trials=str(num_trials), **options)

    return call


def read_trials(folder="out"):
    with Path(folder, "trials.csv").open() as file:
        return list(csv.DictReader(file))


def states(folder="out"):
    return [row["state"] for row in read_trials(folder)]


def load(url="sqlite:///out/study.db", name="some_bundle"):
    return optuna.load_study(study_name=name, storage=open_storage(url))


class TestResults:
    def test_best_values_are_an_override_of_existing_keys(self, tuned, bundle, stub):
        text = tuned(2)
        best = json.loads(Path("out/best.json").read_text())
        assert best == stub.configs[1] and list(best) == list(SPACE)  # trial 1 validated best, with 0.51
        parser = ConfigParser(ConfigParser.load_config_files([bundle / "configs/train.json", "out/best.json"]))
        assert parser.get_parsed_content("patch") in ([2, 2], [4, 4], [8, 8])
        assert set(parser.config) == set(TRAIN) and parser["rate"] == best["rate"]
        assert "Best: trial 1, Dice 0.5100; its values are in out/best.json, its weights in out/trial_0001" in text
        assert '''"['bundles/some_bundle/configs/train.json','out/best.json']"''' in text

    def test_table_has_every_trial_with_its_validations(self, tuned):
        tuned(2)
        first, second = read_trials()
        assert (first["value"], second["value"], first["state"]) == ("0.5", "0.51", "COMPLETE")
        assert [second[f"intermediate_values_{epoch}"] for epoch in (1, 2, 3)] == ["0.4", "0.51", "0.3"]
        assert second["params_patch"] in ("[2, 2]", "[4, 4]", "[8, 8]")

    def test_command_is_the_bundles_own_training_with_one_more_config(self, tuned, stub):
        tuned(1, fold="1", max_epochs="9")
        files = "['bundles/some_bundle/configs/train.json','out/trial_0000/trial.json']"
        assert stub.commands == [
            ["python", "-m", "monai.bundle", "run", "training", "--config_file", files]
            + ["--bundle_root", "bundles/some_bundle", "--dataset_dir", str(Path("data").resolve()), "--fold", "1"]
            + ["--output_dir", "out/trial_0000", "--max_epochs", "9"]
        ]

    def test_url_of_the_database_with_its_password_is_in_no_file(self, tuned):
        tuned(1, storage="sqlite:///secret.db")
        assert "secret" not in "".join(path.read_text() for path in Path("out").rglob("*.json"))

    def test_importances_need_trials(self):
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
        study.optimize(lambda trial: trial.suggest_float("a", 0, 1) + 0 * trial.suggest_float("b", 0, 1), n_trials=9)
        assert importances(study) == {}
        study.optimize(lambda trial: trial.suggest_float("a", 0, 1) + 0 * trial.suggest_float("b", 0, 1), n_trials=20)
        assert next(iter(importances(study))) == "a" and sum(importances(study).values()) == pytest.approx(1)


class TestStudy:
    def test_called_again_it_goes_on_to_the_number_of_trials(self, tuned, stub):
        tuned(1)
        assert tuned(1) and len(stub.configs) == 1
        tuned(2)
        assert len(stub.configs) == 2 and states() == ["COMPLETE"] * 2

    def test_interrupted_or_not_the_same_values_are_drawn(self, tuned, stub):
        tuned(2)
        for number in (1, 2):
            tuned(number, output_dir="again")
        assert stub.configs[2:] == stub.configs[:2] and stub.configs[0]["rate"] != stub.configs[1]["rate"]
        tuned(1, output_dir="other", sampler_seed="100")
        assert stub.configs[-1] not in stub.configs[:-1]

    def test_trials_of_another_machine_count(self, tuned, stub):
        tuned(1, storage="sqlite:///shared.db", output_dir="here")
        tuned(2, storage="sqlite:///shared.db", output_dir="there", num_workers="7")
        assert len(stub.configs) == 2 and [path.name for path in Path("there").glob("trial_*/")] == ["trial_0001"]
        assert len(read_trials("there")) == 2 and not Path("there/study.db").exists()

    def test_running_trials_of_another_machine_are_waited_for(self, tuned, stub, monkeypatch):
        tuned(1)
        elsewhere, naps = load(), []
        running = elsewhere.ask({"rate": optuna.distributions.FloatDistribution(0.01, 1, log=True)})

        def sleep(seconds):
            naps.append(seconds)
            elsewhere.tell(running, 0.9)

        monkeypatch.setattr(trials.time, "sleep", sleep)
        assert "Best: trial 1, Dice 0.9000" in tuned(2) and len(naps) == 1 and len(stub.configs) == 1

    def test_worse_than_the_others_is_pruned_and_counts(self, tuned, stub, monkeypatch):
        monkeypatch.setattr(pruning, "NUM_STARTUP_TRIALS", 1)
        stub.courses[1] = [0.1, 0.9, 0.9]
        text = tuned(2)
        assert states() == ["COMPLETE", "PRUNED"] and "1 complete, 1 pruned" in text
        last = read_trials()[1]
        assert last["intermediate_values_1"] == last["value"] == "0.1" and last["intermediate_values_2"] == ""
        assert float(last["user_attrs_pruned_after_epoch"]) == 1

    def test_what_does_not_compare_is_not_mixed(self, tuned, stub):
        Path("other.json").write_text(json.dumps({"rate": SPACE["rate"]}))
        tuned(1)
        for options, message in (
            (
                {"max_epochs": "5"},
                "study some_bundle: was begun with overrides {}, now it is {'max_epochs': '5'}; give",
            ),
            ({"fold": "1"}, "was begun with fold 0, now it is 1"),
            ({"space": "other.json"}, "was begun with space .*; give another --study_name"),
            ({"study_name": "other"}, "trial_0000: of another study than other; give another --output_dir"),
        ):
            with pytest.raises(InputError, match=message):
                tuned(2, **options)
        assert len(stub.configs) == 1


class TestFailures:
    def test_failed_training_is_told_and_the_search_goes_on(self, tuned, stub):
        stub.failing[1] = InputError("the step 'trial 1' failed: out of memory (the whole log: out/trial_0001/log)")
        text = tuned(2)
        assert states() == ["COMPLETE", "FAIL", "COMPLETE"] and "2 complete, 1 fail" in text
        assert "out of memory (the whole log: out/trial_0001/log)" in read_trials()[1]["user_attrs_failure"]

    def test_search_in_which_all_fails_stops(self, tuned, stub):
        stub.failing = {number: InputError(f"failure {number}") for number in range(9)}
        with pytest.raises(InputError, match="3 of 3 trials failed; correct .* Last: trial 2: failure 2"):
            tuned(5)
        assert len(stub.configs) == 3 and not Path("out/best.json").exists()

    def test_input_that_no_training_takes_is_refused_once(self, tuned, stub):
        stub.failing = dict.fromkeys(range(9), InputError("the step 'trial 0' failed: error: a.tif: truncated"))
        with pytest.raises(InputError, match="1 of 1 trials failed; .* error: a.tif: truncated"):
            tuned(1)
        del stub.failing[1]
        tuned(1)
        stub.failing.pop(3)  # what one training takes, others are refused for the values that they drew
        tuned(2)
        assert states() == ["FAIL", "COMPLETE", "FAIL", "COMPLETE"]

    def test_training_without_a_score_has_failed(self, tuned, stub):
        stub.courses[0] = [float("nan")] * 2
        tuned(1)
        assert states() == ["FAIL", "COMPLETE"]
        assert "no validation of trial 0 has a score; see out/trial_0000" in read_trials()[0]["user_attrs_failure"]

    def test_interrupted_trial_is_run_again(self, tuned, stub):
        stub.failing[1] = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            tuned(2)
        tuned(2)
        assert states() == ["COMPLETE", "FAIL", "COMPLETE"] and stub.configs[2] == stub.configs[1]
        assert stub.configs[1] != stub.configs[0]

    def test_trial_of_a_killed_process_is_run_again(self, tuned, stub):
        tuned(1)
        study = load()
        trial = study.ask()
        rate = trial.suggest_float("rate", 0.01, 1, log=True)
        study._storage.record_heartbeat(trial._trial_id)
        with closing(sqlite3.connect("out/study.db")) as database, database:
            database.execute("UPDATE trial_heartbeats SET heartbeat = datetime('now', '-1 hour')")
        tuned(2)
        assert states() == ["COMPLETE", "FAIL", "COMPLETE"] and stub.configs[-1]["rate"] == rate

    def test_nothing_but_pruned_trials_is_no_result(self, tuned, stub):
        stub.failing = {number: InputError("failed") for number in range(3)}
        with pytest.raises(InputError, match="3 of 3 trials failed"):
            tuned(1)
        load().add_trial(create_trial(state=TrialState.PRUNED))
        with pytest.raises(InputError, match="study some_bundle: no trial has completed, .*give more --trials"):
            tuned(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": ""}, "--space missing"),
        ({"space": "nowhere.json"}, "nowhere.json: no such file"),
        ({"fold": "7"}, "--fold 7: 7 is unknown; there are 0, 1"),
        ({"fold": "0,1"}, "--fold 0,1: expected one fold; there are 0, 1"),
        ({"sampler_seed": "x"}, "--sampler_seed x: expected a whole number, at least 0"),
        ({"prune_after": "-1"}, "--prune_after -1: expected a whole number, at least 0"),
        ({"rate": "0.5"}, "--rate: the search space varies rate"),
        ({"raet": "0.5"}, "unknown override --raet; did you mean --rate"),
        ({"trails": "5"}, "unknown override --trails; did you mean --trials"),
        ({"ckpt_path": "x"}, "--ckpt_path: tune sets it for each run"),
        ({"max_epochs": "abc"}, "max_epochs abc: expected"),
        ({"storage": "study.db"}, "--storage study.db: not a database URL; a file is sqlite:///study.db"),
        ({"storage": "sqlite://"}, "other processes, which need a file"),
        ({"storage": "sqlite:///nowhere/study.db"}, "nowhere/study.db: cannot be opened .*unable to open database"),
        ({"storage": "nosql://me:secret@host/name"}, r"nosql://me:\*\*\*@host/name: cannot be opened"),
    ],
)
def test_bad_input_is_told_before_anything_starts(tuned, stub, options, message):
    with pytest.raises(InputError, match=message) as caught:
        tuned(1, **options)
    assert not stub.commands and not Path("out").exists() and "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": {}}, "train.json: train#handlers is no list"),
        ({"validate": {"key_metric": {"dice": {}}, "evaluator": {"metric_cmp_fn": "$min"}}}, "has a metric_cmp_fn"),
        ({"validate": {}}, "validate#key_metric is None"),
    ],
)
def test_bundle_that_cannot_be_tuned_is_refused(tuned, bundle, change, message):
    (bundle / "configs/train.json").write_text(json.dumps(TRAIN | change))
    with pytest.raises(InputError, match=message):
        tuned(1)


def test_command_line(bundle, dataset, stub, capsys):
    options = ["--dataset_dir", "data", "--space", "space.json", "--trials", "1"]
    assert run(VERBS, ["tune", "some_bundle", *options]) == 0
    assert "# some_bundle, fold 0: study some_bundle, 1 complete" in capsys.readouterr().out
    assert Path("tune/some_bundle/best.json").is_file() and Path("tune/some_bundle/study.db").is_file()
    assert run(VERBS, ["tune", "some_bundle", "more", *options]) == 1
    assert run(VERBS, ["tune", "some_bundle"]) == 1
    assert "--dataset_dir missing" in capsys.readouterr().err
