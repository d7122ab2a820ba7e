"""A training that is worse than the median ends early, in good order, and the study knows why."""

import optuna
import pytest
from optuna.trial import create_trial

from tools.runs.tune.pruning import PRUNED
from tools.runs.tune.storage import open_storage, open_study

USUAL = {1: 0.4, 2: 0.5, 3: 0.6}


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/study.db"


@pytest.fixture
def study(url):
    """A study in a file with five trials, after which pruning begins."""
    made = open_study(open_storage(url), "some", {})
    made.add_trials([create_trial(value=0.6, intermediate_values=USUAL) for _ in range(5)])
    return made


@pytest.fixture
def tried(study, url, train):
    """Function that runs a further trial with the given scores, and gives its last epoch and what the study knows."""

    def run(scores, prune_after=0):
        trial = study.ask()
        epoch = train(scores, "some", url, trial._trial_id, prune_after=prune_after)
        return epoch, study.get_trials()[trial.number]

    return run


def test_worse_than_the_median_ends_after_the_first_validation(tried):
    epoch, trial = tried([0.3, 0.9, 0.9])
    assert epoch == 1 and trial.user_attrs == {PRUNED: 1} and trial.intermediate_values == {1: 0.3}
    assert trial.state == optuna.trial.TrialState.RUNNING  # the process that asked for it tells how it ended


def test_better_than_the_median_goes_on_to_its_end(tried):
    epoch, trial = tried([0.45, 0.1, 0.2])  # its best so far counts until it is overtaken
    assert epoch == 2 and trial.intermediate_values == {1: 0.45, 2: 0.1}
    epoch, trial = tried([0.45, 0.55, 0.5])
    assert epoch == 3 and trial.user_attrs == {} and trial.intermediate_values == {1: 0.45, 2: 0.55, 3: 0.5}


def test_nothing_is_pruned_before_the_given_epoch_or_at_the_last_one(tried):
    epoch, trial = tried([0.1, 0.1, 0.1], prune_after=2)
    assert epoch == 2 and trial.user_attrs == {PRUNED: 2}
    epoch, trial = tried([0.45, 0.55, 0.1], prune_after=3)
    assert epoch == 3 and trial.user_attrs == {}


def test_undefined_validation_is_worse_than_any(tried):
    epoch, trial = tried([float("nan"), 0.9, 0.9])
    assert epoch == 1 and trial.user_attrs == {PRUNED: 1}


def test_trial_that_was_given_up_meanwhile_stops_its_training(study, url, train):
    trial = study.ask()
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError, match="finished"):
        train([0.9, 0.9, 0.9], "some", url, trial._trial_id)
