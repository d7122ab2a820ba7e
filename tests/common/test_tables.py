"""CSV files, written whole or not at all."""

import csv
from pathlib import Path

import numpy as np
import pytest

from common.tables import write_table


def read(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_whole_numbers_stay_whole_and_others_have_six_digits(tmp_path):
    write_table(tmp_path / "a.csv", ("id", "value"), [(70001, 1 / 3), (2, np.float64(1234.56789)), (3, 5.0)])
    assert read(tmp_path / "a.csv") == [["id", "value"], ["70001", "0.333333"], ["2", "1234.57"], ["3", "5"]]


def test_a_table_that_fails_leaves_the_old_one(tmp_path):
    write_table(tmp_path / "a.csv", ("id",), [(1,)])
    with pytest.raises(ZeroDivisionError, match="division"):
        write_table(tmp_path / "a.csv", ("id",), ([1 / number] for number in (1, 0)))
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert read(tmp_path / "a.csv") == [["id"], ["1"]]


def test_large_numbers_get_the_digits_that_they_need(tmp_path):
    write_table(tmp_path / "a.csv", ("y",), [(123457.5,)], digits=8)
    assert read(tmp_path / "a.csv") == [["y"], ["123457.5"]]
