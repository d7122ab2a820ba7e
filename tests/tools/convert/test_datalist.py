"""Folds deal groups out evenly."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.convert.dataset import assign_folds, chosen_units


@given(st.sets(st.text("0123456789", min_size=2, max_size=3), min_size=1), st.integers(1, 8))
def test_folds_differ_by_at_most_one_group_and_none_is_empty(groups, num_folds):
    folds = assign_folds(groups, num_folds)
    sizes = Counter(folds.values())
    assert set(folds) == groups
    assert sorted(sizes) == list(range(min(num_folds, len(groups))))
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_no_group_makes_no_fold():
    assert assign_folds([], 5) == {}


def test_groups_are_dealt_in_the_order_of_their_names_whatever_order_they_come_in():
    expected = {"01": 0, "02": 1, "03": 2, "04": 0, "10": 1}
    for groups in (list(expected), list(expected)[::-1], ["04", "01", "10", "04", "03", "02"]):
        assert assign_folds(groups, 3) == expected


@pytest.mark.parametrize(("units", "is_told"), [(["B4", "B004"], True), (["b4", "B4"], True), (["B10", "B100"], False)])
def test_units_that_may_be_one_are_told(caplog, units, is_told):
    chosen_units(units, [], Path("slides"), kind="slide")
    assert ("differ in capitals or zeros only" in caplog.text) == is_told
