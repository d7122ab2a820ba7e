"""A search space is checked against train.json before anything starts, and its values stand in a config as JSON."""

import json

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from common.errors import InputError
from tools.runs.tune.space import all_keys, check_fixed, read_space, suggest, values_of
from tools.runs.tune.storage import open_storage

TRAIN = {
    "learning_rate": 0.002,
    "batch_size": 2,
    "amp": True,
    "patch_size": [32, 64],
    "tile": "auto",
    "mode": "crop",
    "sampler": None,
    "workers": "$4 if cuda else 0",
    "fold": 0,
    "loss": "@losses::dice",
    "optimizer": {"_target_": "AdamW", "weight_decay": 0.0001},
    "train": {"handlers": [{"interval": 5}], "dataloader": {"batch_size": "@batch_size"}},
}
RATE = {"type": "float", "low": 1e-4, "high": 1e-2}
SIZE = {"type": "int", "low": 1, "high": 4}


@pytest.fixture
def read(tmp_path):
    """Function that writes a search space and reads it back."""

    def call(content):
        path = tmp_path / "space.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_space(path, TRAIN)

    return call


def test_each_type_becomes_a_distribution(read):
    found = read(
        {
            "learning_rate": RATE | {"log": True},
            "optimizer::weight_decay": {"type": "float", "low": 0, "high": 0.5, "step": 0.1},
            "batch_size": SIZE | {"step": 3},
            "train#handlers#0#interval": SIZE | {"log": True},
            "loss": {"type": "categorical", "choices": ["@losses::dice", "@losses::dicece"]},
        }
    )
    assert found == {
        "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "optimizer#weight_decay": FloatDistribution(0, 0.5, step=0.1),
        "batch_size": IntDistribution(1, 4, step=3),
        "train#handlers#0#interval": IntDistribution(1, 4, log=True),
        "loss": CategoricalDistribution(['"@losses::dice"', '"@losses::dicece"']),
    }


def test_numbers_may_replace_numbers_expressions_null_and_words_that_leave_it_open(read):
    for key in ("learning_rate", "batch_size", "sampler", "workers", "tile", "train#dataloader#batch_size"):
        assert read({key: SIZE}) == {key: IntDistribution(1, 4)}


def test_choices_come_back_as_they_were_written(read, tmp_path):
    choices = [[24, 64], [32, 64], "none", "[32, 64]", None, 1, 1.0, True, {"a": [1]}]
    space = read({"patch_size": {"type": "categorical", "choices": choices}})
    study = optuna.create_study(storage=open_storage(f"sqlite:///{tmp_path}/study.db"))
    for text in map(json.dumps, choices):
        study.enqueue_trial({"patch_size": text})
        trial = study.ask()
        assert json.dumps(suggest(trial, space)) == json.dumps({"patch_size": json.loads(text)})
        assert json.dumps(values_of(study.trials[-1])) == json.dumps({"patch_size": json.loads(text)})


def test_keys_of_lists_and_of_what_is_in_them_are_found():
    assert all_keys({"a": [{"b": 1}, 2]}) == {"a": [{"b": 1}, 2], "a#0": {"b": 1}, "a#0#b": 1, "a#1": 2}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"space\.json: not a readable JSON"),
        ([1], "a list, expected fields with names"),
        ({"learning_rat": RATE}, r"learning_rat: no key of train\.json; did you mean learning_rate\?"),
        ({"trainer#batch_size": SIZE}, "did you mean .*train#dataloader#batch_size"),
        ({"train#handlers#7#interval": SIZE}, "did you mean train#handlers#0#interval"),
        ({"zzz": SIZE}, "at its top are amp, batch_size, fold"),
        ({"fold": SIZE}, "fold: tune sets it for each trial"),
        ({"learning_rate": 0.1}, "learning_rate: 0.1, expected .*one of float, int, categorical"),
        ({"learning_rate": RATE | {"logg": True}}, "unknown field 'logg'; float takes low, high, step, log"),
        ({"learning_rate": RATE | {"log": "true"}}, 'log is "true", expected true or false'),
        ({"learning_rate": {"type": "float", "low": 1}}, "high is missing, expected a number"),
        ({"learning_rate": RATE | {"low": "1e-4"}}, 'low is "1e-4", expected a number'),
        ({"learning_rate": RATE | {"high": 1e-4}}, "low has to be smaller"),
        ({"learning_rate": RATE | {"low": 0, "log": True}}, "low is 0, but a logarithm"),
        ({"learning_rate": RATE | {"log": True, "step": 1e-4}}, "log and step exclude each other"),
        ({"learning_rate": RATE | {"step": 1}}, "step is 1, expected more than 0 and at most"),
        ('{"learning_rate": {"type": "float", "low": 0, "high": Infinity}}', "high is Infinity, expected a number"),
        ({"batch_size": SIZE | {"low": 1.5}}, "low is 1.5, expected a whole number"),
        ({"batch_size": SIZE | {"type": "float"}}, "train.json has 2, a whole number; give type int"),
        ({"amp": SIZE}, "train.json has true, a number cannot replace that; give type categorical"),
        ({"mode": SIZE}, 'train.json has "crop", a number cannot replace that'),
        ({"amp": {"type": "categorical", "choices": [True, "false"]}}, 'the choice "false" is no switch'),
        ({"mode": {"type": "categorical", "choices": ["crop"]}}, "expected a list of two values"),
        ({"mode": {"type": "categorical", "choices": ["a", "b", "a"]}}, 'choices holds "a" twice'),
        ({"optimizer#weight_decay": RATE, "optimizer::weight_decay": RATE}, "given twice, with # and with ::"),
        (
            {"optimizer": {"type": "categorical", "choices": [1, 2]}, "optimizer#weight_decay": RATE},
            "optimizer#weight_decay lies inside optimizer; vary one of them",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused(read, content, message):
    with pytest.raises(InputError, match=message):
        read(content)


def test_missing_file_is_told_as_one(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.json: no such file; write the search space"):
        read_space(tmp_path / "nowhere.json", TRAIN)


@pytest.mark.parametrize("override", ["optimizer#lr", "optimizer::lr", "optimizer", "optimizer#lr#deep"])
def test_override_of_what_is_searched_is_refused(override):
    check_fixed(["optimizer#lr"], ["optimizer#lrs", "opt", "optimizer#weight_decay"])
    with pytest.raises(InputError, match=f"--{override}: the search space varies optimizer#lr; take it out"):
        check_fixed(["optimizer#lr"], [override])
