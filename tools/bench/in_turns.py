"""Ways of doing the same to the same things, timed in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from tools.bench.table import Row

__all__ = ["as_time", "ratio_row", "time_in_turns"]

Item = TypeVar("Item")


def time_in_turns(
    ways: Mapping[str, Callable[[Item], object]], items: Sequence[Item], *, rounds: int, desc: str
) -> dict[str, list[float]]:
    """Seconds of several ways on the same items; from item to item another way is first.

    Parameters
    ----------
    ways : mapping of str to callable
        What is done to an item, by name.
    items : sequence
        At least one; before the first round each way gets the first of them, which is not counted.
    rounds : int
        Times that each item is done in each way.
    desc : str
        Name of the progress bar.

    Returns
    -------
    dict of str to list of float
        Way -> mean seconds per item of each round.
    """
    names, seconds = [*ways], {way: [0.0] * rounds for way in ways}
    for function in ways.values():  # the first call of anything is slow
        function(items[0])
    turns = [(number, item) for number in range(rounds) for item in items]
    for turn, (number, item) in enumerate(tqdm(turns, desc=desc, unit="turn")):
        first = turn % len(names)
        for way in names[first:] + names[:first]:
            started = time.perf_counter()
            ways[way](item)
            seconds[way][number] += (time.perf_counter() - started) / len(items)
    return seconds


def ratio_row(what: str, ours: Sequence[float], other: Sequence[float], *, target: float | None = None) -> Row:
    """Medians of two ways' seconds, and of their ratio within a round.

    Parameters
    ----------
    what : str
        What is timed.
    ours, other : sequence of float
        Seconds of each round.
    target : float, optional
        How many times faster ours should be.

    Returns
    -------
    Row
    """
    ratio = statistics.median(np.divide(other, ours))
    speed = f"{ratio:.1f} x faster" if ratio >= 1 else f"{1 / ratio:.1f} x slower"
    goal = () if target is None else (f">= {target:g} x", "yes" if ratio >= target else "no")
    return Row(what, *(as_time(statistics.median(seconds)) for seconds in (ours, other)), speed, *goal)


def as_time(seconds: float) -> str:
    """Seconds, or milliseconds where they are less than one."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.1f} ms"
