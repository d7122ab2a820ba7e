"""How long a training waits for its data."""

from __future__ import annotations

import time
from collections.abc import Callable

from ignite.engine import Engine, Events

__all__ = ["WaitingTime"]


class WaitingTime:
    """Measures how much of a training after its first epoch is spent on waiting for batches.

    The first epoch fills caches and is left out.

    Parameters
    ----------
    clock : callable
        Seconds since some moment.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._started = self._asked = self._ended = self._waited = 0.0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED(once=2), self._start)
        engine.add_event_handler(Events.GET_BATCH_STARTED, self._ask)
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._receive)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._end)

    @property
    def share(self) -> float:
        """Waiting time over all time since the second epoch began."""
        return self._waited / (self._ended - self._started)

    def _start(self) -> None:
        self._started, self._waited = self._clock(), 0.0

    def _ask(self) -> None:
        self._asked = self._clock()

    def _receive(self) -> None:
        self._waited += self._clock() - self._asked

    def _end(self) -> None:
        self._ended = self._clock()
