"""Trials, until the study has enough of them, from all processes together.

Each is a training by the bundle's own train.json with the values that the study suggests.
"""

import logging
import math
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from common.errors import InputError
from common.json_file import read_json
from tools.runs.executor import REFUSED, run_step
from tools.runs.files import write_json
from tools.runs.steps import Training
from tools.runs.tune.pruning import PRUNED
from tools.runs.tune.space import Space, suggest
from tools.runs.tune.storage import URL_VARIABLE, retry

__all__ = ["check_bundle", "check_folder", "count_states", "run_trial", "search", "trial_folder"]

logger = logging.getLogger(__name__)

HANDLERS = "train#handlers"
FAILURE = "failure"
FOLDER = re.compile(r"trial_(\d{4,})")
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
MAX_MORE_FAILURES = 3
WAIT_S = 5


def check_bundle(bundle: Path) -> None:
    """Refuse a bundle whose trainings cannot be ranked.

    InputError if its train.json has no list of handlers to add one to, or compares validations in a way of its own.
    """
    path = bundle / "configs/train.json"
    train = read_json(path)
    if not isinstance(train.get("train", {}).get("handlers"), list):
        raise InputError(f"{path}: {HANDLERS} is no list, so that none can be added; make it one")
    if "metric_cmp_fn" in train.get("validate", {}).get("evaluator", {}):
        raise InputError(f"{path}: validate#evaluator has a metric_cmp_fn; tune takes the larger score for the better")


def trial_folder(output_dir: Path, number: int) -> Path:
    """Where a trial leaves its weights and its log."""
    return output_dir / f"trial_{number:04d}"


def check_folder(output_dir: Path, study: optuna.Study) -> None:
    """Refuse a folder with trials that this study does not have yet: a training would go on where another one ended."""
    present = [int(match[1]) for path in output_dir.glob("trial_*") if (match := FOLDER.fullmatch(path.name))]
    foreign = [number for number in present if number >= len(study.get_trials(deepcopy=False))]
    if foreign:
        raise InputError(
            f"{trial_folder(output_dir, min(foreign))}: of another study than {study.study_name}; give another "
            "--output_dir, or the --storage and --study_name of that study"
        )


def run_trial(trial: optuna.Trial, training: Training, space: Space, sampler_seed: int, prune_after: int) -> float:
    """Train with the values that the study suggests; the best validation, by which the training chose its weights.

    The training has the folder that the folders of trials are in. The trial's number is added to the seed, so that
    neither a second process nor a later call draws the same values again. InputError if the training fails, or no
    validation has a score; TrialPruned if the study ended it; KeyboardInterrupt puts the values in line for another
    trial.
    """
    study = trial.study
    study.sampler = optuna.samplers.TPESampler(seed=sampler_seed + trial.number)
    training = replace(training, folder=trial_folder(training.folder, trial.number))
    config = training.folder / "trial.json"
    step = training.train(config)
    try:
        write_json(config, suggest(trial, space) | _handler(study.study_name, trial._trial_id, prune_after))
        run_step(f"trial {trial.number}", step.command, step.log)
        return _best_score(_frozen(study, trial.number), step.log)
    except InputError as error:
        trial.set_user_attr(FAILURE, str(error))
        raise
    except KeyboardInterrupt:
        retry(study, _frozen(study, trial.number))
        raise


def _handler(study_name: str, trial_id: int, prune_after: int) -> dict[str, Any]:
    """What makes a training a trial: the handler that reports to the study."""
    handler = {
        "_target_": "tools.runs.tune.pruning.ReportToStudy",
        "evaluator": "@validate#evaluator",
        "study_name": study_name,
        "storage": {"_target_": "os.getenv", "key": URL_VARIABLE},
        "trial_id": trial_id,
        "prune_after": prune_after,
    }
    return {f"+{HANDLERS}": [handler]}


def _best_score(trial: FrozenTrial, log: Path) -> float:
    if PRUNED in trial.user_attrs and trial.user_attrs[PRUNED] == trial.last_step:  # a retried trial inherits the word
        raise optuna.TrialPruned
    scores = [score for score in trial.intermediate_values.values() if not math.isnan(score)]
    if not scores:
        raise InputError(f"no validation of trial {trial.number} has a score; see {log}, and --val_interval")
    return max(scores)


def _frozen(study: optuna.Study, number: int) -> FrozenTrial:
    return study.get_trials(deepcopy=False)[number]


def search(
    study: optuna.Study,
    objective: Callable[[optuna.Trial], float],
    num_trials: int,
    tell: Callable[[FrozenTrial], None],
) -> None:
    """Run trials until so many have finished in the study, those of other processes and earlier calls included.

    ``objective`` runs a trial and gives its score; an `InputError` makes it a failed one, which does not count.
    Completed and pruned ones do. ``tell`` takes each trial that ended here. InputError if of the trials of this call
    three more have failed than finished, or of all trials none has finished and one was refused for its input.
    """
    ended: list[FrozenTrial] = []
    is_waiting = False
    while _count(study, FINISHED) < num_trials:
        with warnings.catch_warnings(category=ExperimentalWarning, action="ignore"):
            optuna.storages.fail_stale_trials(study)
        if _count(study, (*FINISHED, TrialState.RUNNING)) >= num_trials:
            if not is_waiting:
                logger.info("waiting for trials of other processes; a killed one is given up after some minutes")
            is_waiting = True
            time.sleep(WAIT_S)
            continue
        is_waiting = False
        study.optimize(objective, n_trials=1, catch=(InputError,), callbacks=[lambda _, trial: ended.append(trial)])
        tell(ended[-1])
        _check_failures(ended, is_refusal_final=_count(study, FINISHED) == 0)


def count_states(study: optuna.Study) -> Counter[TrialState]:
    """Number of trials in each state."""
    return Counter(trial.state for trial in study.get_trials(deepcopy=False))


def _count(study: optuna.Study, wanted: Iterable[TrialState]) -> int:
    states = count_states(study)
    return sum(states[state] for state in wanted)


def _check_failures(ended: list[FrozenTrial], *, is_refusal_final: bool) -> None:
    failed = [trial for trial in ended if trial.state == TrialState.FAIL]
    is_refused = is_refusal_final and any(REFUSED in trial.user_attrs.get(FAILURE, "") for trial in failed)
    if is_refused or len(failed) - (len(ended) - len(failed)) >= MAX_MORE_FAILURES:
        raise InputError(
            f"{len(failed)} of {len(ended)} trials failed; correct the search space or the overrides. Last: trial "
            f"{failed[-1].number}: {failed[-1].user_attrs.get(FAILURE)}"
        )
