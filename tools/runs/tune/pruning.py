"""Runs inside a trial's training: reports every validation to the study, and stops trials not worth continuing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

import optuna

from tools.runs.tune.storage import open_storage

if TYPE_CHECKING:
    from ignite.engine import Engine

__all__ = ["PRUNED", "ReportToStudy"]

logger = logging.getLogger(__name__)

PRUNED = "pruned_after_epoch"
NUM_STARTUP_TRIALS = 5


class ReportToStudy:
    """Tells an Optuna study the key metric of every validation, and ends a training that is worse than the median.

    Attach it to the trainer, after what keeps the best weights; it listens to the evaluator, of whose key metric larger
    values are better. The training ends as one that has reached its last epoch; only the study, in the database behind
    the URL, records that it was pruned. No training is ended before the epoch ``prune_after``.
    """

    def __init__(self, evaluator: Engine, study_name: str, storage: str, trial_id: int, prune_after: int = 0) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        pruner = optuna.pruners.MedianPruner(NUM_STARTUP_TRIALS, n_warmup_steps=prune_after)
        study = optuna.load_study(study_name=study_name, storage=open_storage(storage), pruner=pruner)
        self.trial = optuna.trial.Trial(study, trial_id)  # the only way to one that another process asked for
        self.evaluator = evaluator

    def attach(self, engine: Engine) -> None:
        from ignite.engine import Events  # slow to import, and the command line reads the name below only

        self.evaluator.add_event_handler(Events.COMPLETED, self, engine)

    def __call__(self, evaluator: Engine, trainer: Engine) -> None:
        epoch, state = trainer.state.epoch, cast(Any, evaluator.state)  # MONAI's has more than ignite's
        self.trial.report(float(state.metrics[state.key_metric_name]), step=epoch)
        if epoch != trainer.state.max_epochs and self.trial.should_prune():
            logger.info("pruned after epoch %d: worse than the median of the other trials", epoch)
            self.trial.set_user_attr(PRUNED, epoch)
            trainer.terminate()
