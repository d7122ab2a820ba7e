"""Paired statistics agree with scipy, and with what can be counted by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tools.runs.crossval.contest import (
    compare_pairs,
    holm,
    mean_ranks,
    pairs,
    rank_biserial,
    ranking,
    signed_rank_p,
    worst_cases,
)

NAN = float("nan")
SOME = [0.3, -0.1, 0.2, 0.45, -0.05, 0.6, 0.15, 0.0]


def test_p_is_that_of_scipy_without_zeros():
    assert signed_rank_p(SOME) == stats.wilcoxon(SOME[:-1], alternative="two-sided").pvalue


def test_p_of_five_wins_is_one_in_sixteen():
    assert signed_rank_p([0.1, 0.2, 0.3, 0.4, 0.5]) == pytest.approx(2 / 2**5)  # of 32 signs, two are as extreme


def test_equal_scores_are_no_evidence():
    assert signed_rank_p([0.0, 0.0]) == 1 and rank_biserial([0.0, 0.0]) == 0
    assert signed_rank_p([]) == 1 and rank_biserial([]) == 0


@pytest.mark.parametrize(
    ("differences", "effect"),
    [
        ([1, 2, 3], 1.0),
        ([-1, -2, -3], -1.0),
        ([1, -2, 3], (1 + 3 - 2) / 6),
        ([1, -1], 0.0),  # tied ranks
        ([0, 0, 5], 1.0),
    ],
)
def test_rank_biserial_by_hand(differences, effect):
    assert rank_biserial(differences) == pytest.approx(effect)


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=12))
def test_rank_biserial_agrees_with_the_statistic_of_scipy(differences):
    values = [value for value in differences if value]
    if values:
        greater = stats.wilcoxon(
            values, alternative="greater", method="approx"
        ).statistic  # the sum of the positive ranks
        total = len(values) * (len(values) + 1) / 2
        assert rank_biserial(differences) == pytest.approx(2 * greater / total - 1)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=7))
def test_exchanging_both_turns_the_sign(scores):
    first, second = zip(*scores, strict=True)
    one, other = compare_pairs(first, second), compare_pairs(second, first)
    assert one["p"] == pytest.approx(other["p"]) and one["n"] == other["n"]
    assert one["rank_biserial"] == pytest.approx(-other["rank_biserial"])
    assert one["mean_difference"] == pytest.approx(-other["mean_difference"])


def test_pairs_leave_out_what_one_does_not_define():
    found = compare_pairs([0.5, NAN, 0.75, 0.25], [0.25, 1.0, NAN, 0.25])
    assert (found["n"], found["wins"], found["ties"], found["mean_difference"]) == (2, 1, 1, 0.125)
    nothing = compare_pairs([NAN], [1.0])
    assert nothing["n"] == 0 and nothing["p"] is None and nothing["mean_difference"] is None


def test_pairs_need_as_many():
    with pytest.raises(ValueError, match="1 and 2 scores; pairs need as many"):
        compare_pairs([1], [1, 2])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_mean_ranks_share_ties_and_leave_out_undefined_rows():
    assert mean_ranks([[0.9, 0.5], [0.7, 0.7], [0.1, NAN]]) == [1.25, 1.75]
    assert mean_ranks([]) is None and mean_ranks([[NAN, 1.0]]) is None


UNITS = {"a": "1", "b": "1", "c": "2"}


def test_ranking_has_the_best_first_and_the_undefined_last():
    scores = {"x": {"a": 0.1, "b": 0.2, "c": 0.3}, "y": {"a": None}, "z": {"a": 0.5, "b": 0.5, "c": 0.5}}
    rows = ranking(scores, UNITS)
    assert [row["name"] for row in rows] == ["z", "x", "y"]
    assert rows[0]["mean"] == 0.5 and rows[0]["ci95"] == [0.5, 0.5] and rows[2]["mean"] is None


def test_pairs_are_corrected_for_their_number_and_drawn_by_unit():
    scores = {"x": {"a": 0.2, "b": 0.3, "c": 0.9}, "y": {"a": 0.1, "b": 0.1, "c": 0.2}, "z": {"a": None, "b": 0.0}}
    first, *others = pairs(scores, UNITS)
    assert (first["first"], first["second"], first["n"], first["units"]) == ("x", "y", 3, 2)
    assert first["ci95"] == pytest.approx((0.15, 0.7)) and first["p"] == 0.25 and first["p_holm"] == 0.75
    assert others[0]["n"] == 1 and others[0]["ci95"] is None


def test_what_differs_by_less_than_the_files_keep_is_equal():
    scores = {"x": {"a": 0.52609175, "b": 0.5}, "y": {"a": 0.52609178, "b": 0.4}}
    (pair,) = pairs(scores, UNITS)
    assert (pair["wins"], pair["ties"]) == (1, 1) and pair["rank_biserial"] == 1
    assert [row["mean_rank"] for row in ranking(scores, UNITS)] == [1.25, 1.75]


def test_worst_cases_are_the_lowest_defined():
    assert worst_cases({"a": 0.5, "b": None, "c": 0.1, "d": 0.9}, 2) == [("c", 0.1), ("a", 0.5)]
