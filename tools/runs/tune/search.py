"""Trials one after another, until the study has enough of them, from all processes together."""

import logging
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from common.errors import InputError
from tools.runs.executor import REFUSED
from tools.runs.tune.trials import FAILURE

__all__ = ["count_states", "search"]

logger = logging.getLogger(__name__)

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
MAX_MORE_FAILURES = 3
WAIT_S = 5


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
