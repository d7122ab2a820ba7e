"""What a study has found: the override for train.json, a table of all trials, and a text about the best."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import cast

import optuna
from optuna.trial import FrozenTrial, TrialState

from common.errors import InputError
from common.files import replacing
from common.tables import to_cell
from tools.card.numbers import rounded
from tools.runs.bundles import titles
from tools.runs.files import write_json
from tools.runs.steps import Training
from tools.runs.table import Block, Heading, Table, Text, as_markdown
from tools.runs.tune.pruning import PRUNED
from tools.runs.tune.space import values_of
from tools.runs.tune.trials import count_states, trial_folder
from tools.runs.words import as_typed

__all__ = ["as_text", "importances", "one_line", "write_results"]

ATTRIBUTES = ("number", "value", "datetime_start", "duration", "params", "user_attrs", "intermediate_values", "state")
NUM_SHOWN = 5
MIN_FOR_IMPORTANCE = 10
SHOWN_STATES = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
ABOUT = (
    "Score: the best validation of a training on the fold left out. It chose the epoch and now the "
    "values, so it is optimistic; measure the values that you keep on images that chose nothing."
)


def write_results(study: optuna.Study, training: Training) -> None:
    """Write best.json, which train.json takes as a second config file, and trials.csv.

    InputError if no trial has completed.
    """
    best = _ranked(study)
    if not best:
        raise InputError(
            f"study {study.study_name}: no trial has completed, so there is no best one; give more --trials"
        )
    write_json(training.folder / "best.json", values_of(best[0]))
    with replacing(training.folder / "trials.csv") as partial:
        study.trials_dataframe(ATTRIBUTES).map(to_cell).to_csv(partial, index=False)


def as_text(study: optuna.Study, training: Training, metric: str) -> str:
    """Markdown about the best trials, which values matter, and how to train with the best ones."""
    return as_markdown(list(_blocks(study, training, metric)))


def one_line(trial: FrozenTrial, metric: str) -> str:
    """How a trial ended, for the log."""
    values = " ".join(f"{key}={text}" for key, text in zip(trial.params, _texts(trial, trial.params), strict=True))
    if trial.state == TrialState.COMPLETE:
        return f"trial {trial.number}: {metric} {rounded(_value(trial))}, {values}"
    if trial.state == TrialState.PRUNED:
        return f"trial {trial.number}: pruned after epoch {trial.user_attrs[PRUNED]}, {values}"
    return f"trial {trial.number}: failed, {values}"


def importances(study: optuna.Study) -> dict[str, float]:
    """Share of each key in how scores differ, the largest first; empty where trials are too few to say."""
    ranked = _ranked(study)
    if len(ranked) < MIN_FOR_IMPORTANCE or len(ranked[0].params) < 2:
        return {}
    from optuna.importance import FanovaImportanceEvaluator  # slow to import

    evaluator = FanovaImportanceEvaluator(seed=0)  # the same trials give the same table
    return optuna.importance.get_param_importances(study, evaluator=evaluator)


def _blocks(study: optuna.Study, training: Training, metric: str) -> Iterator[Block]:
    ranked, title, states = _ranked(study), titles(training.bundle).get(metric, metric), count_states(study)
    best, keys = ranked[0], list(ranked[0].params)
    counts = ", ".join(f"{states[state]} {state.name.lower()}" for state in SHOWN_STATES if states[state])
    yield Heading(f"{training.title}: study {study.study_name}, {counts}", 1)
    rows = [[str(t.number), rounded(_value(t)), str(t.last_step), *_texts(t, keys)] for t in ranked[:NUM_SHOWN]]
    yield Table(["trial", title, "epochs", *keys], rows)
    yield Text(ABOUT)
    weights = importances(study)
    if weights:
        yield Table(["key", "importance"], [[key, f"{100 * weight:.0f} %"] for key, weight in weights.items()])
    override = training.folder / "best.json"
    yield Text(
        f"Best: trial {best.number}, {title} {rounded(_value(best))}; its values are in {override}, its weights in "
        f"{trial_folder(training.folder, best.number)} where it ran. To train with them:"
    )
    yield Text(f"    {as_typed(replace(training, folder=training.folder / 'best').train(override).command)}")


def _ranked(study: optuna.Study) -> list[FrozenTrial]:
    """Complete trials, the best first."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(complete, key=lambda trial: (-_value(trial), trial.number))


def _value(trial: FrozenTrial) -> float:
    return cast(float, trial.value)  # a complete trial has one


def _texts(trial: FrozenTrial, keys: Iterable[str]) -> list[str]:
    values = values_of(trial)
    return [f"{value:.4g}" if isinstance(value := values[key], float) else json.dumps(value) for key in keys]
