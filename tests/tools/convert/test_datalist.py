"""Folds deal groups out evenly; dataset.json is whole or not there."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.convert.datalist import assign_folds, write_datalist


@given(st.sets(st.text("0123456789", min_size=2, max_size=3), min_size=1), st.integers(1, 8))
def test_folds_differ_by_at_most_one_group_and_none_is_empty(groups, num_folds):
    folds = assign_folds(groups, num_folds)
    sizes = Counter(folds.values())
    assert set(folds) == groups
    assert sorted(sizes) == list(range(min(num_folds, len(groups))))
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_no_group_makes_no_fold():
    assert assign_folds([], 5) == {}


def test_interrupted_write_leaves_the_former_file(tmp_path):
    write_datalist(tmp_path / "dataset.json", {"name": "Maška"})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_datalist(tmp_path / "dataset.json", {"name": object()})
    assert json.loads((tmp_path / "dataset.json").read_text(encoding="utf-8")) == {"name": "Maška"}
    assert [path.name for path in tmp_path.iterdir()] == ["dataset.json"]
