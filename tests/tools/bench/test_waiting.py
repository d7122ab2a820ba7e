"""Waiting is counted between asking for a batch and having it, from the second epoch on."""

from __future__ import annotations

import pytest
from ignite.engine import Engine

from tools.bench.waiting import WaitingTime


class Clock:
    """Stands still but for what the test spends."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(("wait", "work", "share"), [(1, 3, 0.25), (0, 2, 0.0), (2, 0, 1.0)])
def test_share_after_the_first_epoch(wait, work, share):
    clock = Clock()

    class Batches:
        """Slow in the first epoch."""

        def __len__(self):
            return 4

        def __iter__(self):
            for batch in range(4):
                clock.now += wait if engine.state.epoch > 1 else 1000
                yield batch

    def step(engine, batch):
        clock.now += work

    engine, waiting = Engine(step), WaitingTime(clock)
    waiting.attach(engine)
    engine.run(Batches(), max_epochs=3)
    assert waiting.share == pytest.approx(share)
