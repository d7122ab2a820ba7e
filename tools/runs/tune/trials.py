"""One trial: a training by the bundle's own train.json with the values that the study suggests."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna

from common.errors import InputError
from common.json_file import read_json
from tools.runs.executor import run_step
from tools.runs.files import write_json
from tools.runs.steps import Training
from tools.runs.tune.pruning import PRUNED
from tools.runs.tune.space import Space, suggest
from tools.runs.tune.storage import URL_VARIABLE, retry

__all__ = ["FAILURE", "check_bundle", "check_folder", "run_trial", "trial_folder"]

HANDLERS = "train#handlers"
FAILURE = "failure"
FOLDER = re.compile(r"trial_(\d{4,})")


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


def _best_score(trial: optuna.trial.FrozenTrial, log: Path) -> float:
    if PRUNED in trial.user_attrs and trial.user_attrs[PRUNED] == trial.last_step:  # a retried trial inherits the word
        raise optuna.TrialPruned
    scores = [score for score in trial.intermediate_values.values() if not math.isnan(score)]
    if not scores:
        raise InputError(f"no validation of trial {trial.number} has a score; see {log}, and --val_interval")
    return max(scores)


def _frozen(study: optuna.Study, number: int) -> optuna.trial.FrozenTrial:
    return study.get_trials(deepcopy=False)[number]
