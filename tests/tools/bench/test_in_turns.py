"""Every way does every item in every round, and the rows say how the times compare."""

from __future__ import annotations

import pytest

from tools.bench.in_turns import as_time, ratio_row, time_in_turns
from tools.bench.table import Row


def test_ways_take_turns_after_one_that_is_not_counted():
    calls = []
    ways = {way: lambda item, way=way: calls.append(way + item) for way in "AB"}
    seconds = time_in_turns(ways, ["1", "2", "3"], rounds=2, desc="test")
    assert calls[:2] == ["A1", "B1"]
    assert calls[2:] == ["A1", "B1", "B2", "A2", "A3", "B3", "B1", "A1", "A2", "B2", "B3", "A3"]
    assert all(len(times) == 2 and min(times) > 0 for times in seconds.values())


def test_seconds_are_a_mean_over_the_items(monkeypatch):
    clock = iter([0.0, 1.0, 10.0, 13.0])
    monkeypatch.setattr("tools.bench.in_turns.time.perf_counter", lambda: next(clock))
    assert time_in_turns({"A": str}, [1, 2], rounds=1, desc="test") == {"A": [2.0]}


def test_row_holds_medians_and_the_ratio_within_a_round():
    row = ratio_row("x", [1.0, 2.0, 3.0], [4.0, 2.0, 9.0], target=3)
    assert row == Row("x", "2.00 s", "4.00 s", "3.0 x faster", ">= 3 x", "yes")
    assert ratio_row("x", [1.0, 2.0, 3.0], [4.0, 2.0, 9.0], target=3.5).met == "no"


def test_slower_is_told_as_slower():
    assert ratio_row("x", [1.0], [0.25]) == Row("x", "1.00 s", "250.0 ms", "4.0 x slower")


@pytest.mark.parametrize(("seconds", "text"), [(1.0, "1.00 s"), (0.0126, "12.6 ms")])
def test_short_times_are_in_milliseconds(seconds, text):
    assert as_time(seconds) == text
