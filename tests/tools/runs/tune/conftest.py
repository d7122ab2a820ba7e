"""A tiny pair of ignite engines, whose validations have given scores; databases that nobody waits for."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy
from ignite.engine import Engine, Events

from tools.runs.tune import pruning, storage
from tools.runs.tune.pruning import ReportToStudy


@pytest.fixture(autouse=True)
def quick_databases(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """SQLite without waiting for the disk, which takes most of the time here, or for another process."""

    def hurry(connection: Any, record: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = MEMORY")

    monkeypatch.setattr(storage, "time", SimpleNamespace(sleep=lambda seconds: None))
    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", hurry)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", hurry)


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Function that trains nothing for one epoch per score, tells the study each score, and gives the last epoch."""

    monkeypatch.setattr(pruning, "open_storage", cache(pruning.open_storage))  # opening is slow

    def run(scores: Sequence[float], *handler_arguments, **handler_options) -> int:
        trainer, evaluator = Engine(lambda engine, batch: None), Engine(lambda engine, batch: None)

        @evaluator.on(Events.EPOCH_COMPLETED)
        def measure(engine: Engine) -> None:
            engine.state.key_metric_name, engine.state.metrics = "dice", {"dice": scores[trainer.state.epoch - 1]}

        trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: evaluator.run([0]))
        ReportToStudy(evaluator, *handler_arguments, **handler_options).attach(trainer)
        return trainer.run([0], max_epochs=len(scores)).epoch

    return run
