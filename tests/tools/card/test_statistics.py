"""Intervals come from the independent units, not from their cases."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.card.statistics import bootstrap_interval, summarise

UNITS_OF_CASES = st.lists(st.lists(st.integers(0, 100).map(lambda n: n / 100), min_size=1, max_size=4), max_size=4)


def cases(units_of_cases):
    """Scores and units, one of each per case."""
    scores = [score for cases in units_of_cases for score in cases]
    return scores, [str(name) for name, cases in enumerate(units_of_cases) for _ in cases]


def test_by_hand():
    assert summarise([0.2, 0.4, np.nan, 0.9], ["a", "a", "a", "b"]) == {
        "mean": pytest.approx(0.5),
        "std": pytest.approx((0.26 / 3) ** 0.5),
        "n": 3,
        "n_undefined": 1,
        "units": 2,
        "ci95": [pytest.approx(0.3), pytest.approx(0.9)],
        "unit_means": {"a": pytest.approx(0.3), "b": pytest.approx(0.9)},
    }


def test_one_unit_has_no_interval():
    assert summarise([0.2, 0.4], ["a", "a"])["ci95"] is None


def test_unit_without_defined_case_does_not_count():
    summary = summarise([0.5, 0.7, np.nan], ["a", "b", "c"])
    assert (summary["units"], summary["n"], list(summary["unit_means"])) == (2, 2, ["a", "b"])


@given(UNITS_OF_CASES.filter(lambda units: len(units) >= 2), st.sampled_from([0.5, 0.8, 0.95]))
def test_agrees_with_the_quantiles_of_all_possible_draws(units_of_cases, level):
    draws = product(units_of_cases, repeat=len(units_of_cases))
    exact = np.array([np.mean([score for unit in draw for score in unit]) for draw in draws])
    low, high = bootstrap_interval(*cases(units_of_cases), level=level)
    tail, slack = (1 - level) / 2, 0.02  # 10000 draws hit a tail to about half a percent
    assert np.mean(exact < low - 1e-9) - slack <= tail <= np.mean(exact <= low + 1e-9) + slack
    assert np.mean(exact > high + 1e-9) - slack <= tail <= np.mean(exact >= high - 1e-9) + slack


@given(UNITS_OF_CASES.filter(lambda units: len(units) >= 2), st.randoms())
def test_order_of_the_cases_changes_nothing(units_of_cases, random):
    scores, units = cases(units_of_cases)
    order = random.sample(range(len(scores)), len(scores))
    shuffled = bootstrap_interval([scores[i] for i in order], [units[i] for i in order])
    assert shuffled == pytest.approx(bootstrap_interval(scores, units))


def test_twins_do_not_narrow_the_interval():
    scores, units = [0.1, 0.5, 0.9], ["a", "b", "c"]
    assert bootstrap_interval(scores * 50, units * 50) == pytest.approx(bootstrap_interval(scores, units))


@pytest.mark.parametrize(
    ("scores", "units", "match"),
    [([1.0], [], "1 scores and 0 units"), ([np.nan], ["a"], "none of 1 scores is defined"), ([], [], "none of 0")],
)
def test_refuses_what_has_no_mean(scores, units, match):
    with pytest.raises(ValueError, match=match):
        summarise(scores, units)
