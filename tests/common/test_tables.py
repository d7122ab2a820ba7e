"""CSV files, written whole or not at all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError
from common.tables import adopt_row, from_cell, put_row, to_cell, write_table
from tests.tables import read_rows


def test_whole_numbers_stay_whole_and_others_have_six_digits(tmp_path):
    write_table(tmp_path / "a.csv", ("id", "value"), [(70001, 1 / 3), (2, np.float64(1234.56789)), (3, 5.0)])
    assert read_rows(tmp_path / "a.csv") == [["id", "value"], ["70001", "0.333333"], ["2", "1234.57"], ["3", "5"]]


def test_a_table_that_fails_leaves_the_old_one(tmp_path):
    write_table(tmp_path / "a.csv", ("id",), [(1,)])
    with pytest.raises(ZeroDivisionError, match="division"):
        write_table(tmp_path / "a.csv", ("id",), ([1 / number] for number in (1, 0)))
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert read_rows(tmp_path / "a.csv") == [["id"], ["1"]]


def test_large_numbers_get_the_digits_that_they_need(tmp_path):
    write_table(tmp_path / "a.csv", ("y",), [(123457.5,)], digits=8)
    assert read_rows(tmp_path / "a.csv") == [["y"], ["123457.5"]]


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-x",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "'=1",
        "-1\n",
        *"\uff1d\uff0b\uff0d\uff20",
    ],
)
def test_text_is_no_formula_and_is_read_as_it_was(tmp_path, text):
    write_table(tmp_path / "a.csv", ("id", text), [(text, 1)])
    for cell, *_ in (read_rows(tmp_path / "a.csv")[0][::-1], read_rows(tmp_path / "a.csv")[1]):
        assert cell == f"'{text}"
        assert from_cell(cell) == text


@pytest.mark.parametrize("value", [-1, -0.5, "-0.5", "+3", "-inf", "slide-1", "a=b", "'quoted'", "", None])
def test_numbers_and_harmless_text_stay_as_they_are(value):
    assert to_cell(value) == value


@given(st.text(alphabet="'=+-@\t\r\n1a."))
def test_every_text_comes_back_and_what_is_computed_is_a_number(text):
    cell = to_cell(text)
    assert from_cell(cell) == text
    if cell[:1] and cell[0] in "=+-@\t\r\n":
        float(cell)


def test_all_digits_and_other_delimiters(tmp_path):
    write_table(tmp_path / "a.tsv", ("id", "value"), [("n/a", 0.1 + 0.2)], digits=None, delimiter="\t")
    assert (tmp_path / "a.tsv").read_bytes() == b"id\tvalue\nn/a\t0.30000000000000004\n"


def test_rows_are_put_in_order_one_for_each_name(tmp_path):
    for row in (("b", 1, 0.5), ("=a", 2, 1 / 3), ("b", 3, 0.25)):
        put_row(tmp_path / "a.csv", ("name", "number", "part"), row, thing="image")
    assert read_rows(tmp_path / "a.csv") == [["name", "number", "part"], ["'=a", "2", "0.333333"], ["b", "3", "0.25"]]


def test_the_row_of_one_image_becomes_that_of_its_name(tmp_path):
    write_table(tmp_path / "one.csv", ("name", "part"), [("piece", 0.5)])
    put_row(tmp_path / "all.csv", ("name", "part"), ("a", 1), thing="image")
    adopt_row(tmp_path / "all.csv", tmp_path / "one.csv", "=b", thing="image")
    assert read_rows(tmp_path / "all.csv") == [["name", "part"], ["'=b", "0.5"], ["a", "1"]]


def test_the_run_lengths_of_a_slide_are_one_long_cell(tmp_path):
    lengths = "1 2 " * 100_000
    write_table(tmp_path / "one.csv", ("id", "predicted"), [("piece", lengths)])
    for name in ("a", "b"):
        adopt_row(tmp_path / "all.csv", tmp_path / "one.csv", name, thing="slide")
    assert (tmp_path / "all.csv").read_text().splitlines() == ["id,predicted", f"a,{lengths}", f"b,{lengths}"]


def test_a_file_that_is_another_table_stays(tmp_path):
    (tmp_path / "a.csv").write_text("name,part\nb,1\n")
    with pytest.raises(InputError, match=r"a\.csv: columns name,part, expected name,number and a row per image; move"):
        put_row(tmp_path / "a.csv", ("name", "number"), ("b", 1), thing="image")
    assert (tmp_path / "a.csv").read_text() == "name,part\nb,1\n"
