"""A table of prompts comes back as it was written, and one that cannot be used says why."""

import numpy as np
import pytest
from sam_myelin.common.errors import InputError
from sam_myelin.prompt_tables import COLUMNS, read_prompts, write_prompts
from sam_myelin.prompts import Prompts, prompts_from_labels

from tools.convert.prompts import as_tsv, find_prompts

HEADER = "\t".join(COLUMNS)


def test_prompts_come_back(tmp_path, fibres):
    labels, axon = fibres
    path = tmp_path / "a_prompts.tsv"
    prompts = prompts_from_labels(labels.astype(np.int64) * 20_000, axon)
    write_prompts(path, prompts)
    for written, read in zip(prompts, read_prompts(path, labels.shape), strict=True):
        np.testing.assert_array_equal(written, read)
    lines = path.read_text().splitlines()
    assert lines[0] == HEADER and lines[1] == "60000\t14\t14\t3\t3\t25\t25"
    assert lines[3] == "180000\tn/a\tn/a\t50\t2\t59\t5"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_converter_writes_the_same_prompts(tmp_path, fibres):
    labels, axon = fibres
    names = np.zeros(10, int)
    names[[3, 7]] = 1, 2  # the converter numbers fibres without gaps, and all have an axon
    path = tmp_path / "a_prompts.tsv"
    path.write_text(as_tsv(find_prompts(names[labels], axon)))
    for read, expected in zip(read_prompts(path, labels.shape), prompts_from_labels(names[labels], axon), strict=True):
        np.testing.assert_array_equal(read, expected)


def test_columns_in_another_order_and_more_of_them(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("note\tx_max\ty_max\tx_min\ty_min\tx\ty\tid\nold\t9\t8\t1\t2\t5\t4\t6\n")
    prompts = read_prompts(path)
    assert (prompts.ids.tolist(), prompts.points.tolist(), prompts.boxes.tolist()) == ([6], [[5, 4]], [[1, 2, 9, 8]])


def test_table_without_rows(tmp_path):
    path = tmp_path / "a.tsv"
    write_prompts(path, Prompts(np.zeros(0, int), np.zeros((0, 2)), np.zeros((0, 4))))
    prompts = read_prompts(path, (5, 5))
    assert [part.shape for part in prompts] == [(0,), (0, 2), (0, 4)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column id, x, y, .* separated by tabs"),
        ("id,x,y\n1,2,3\n", "no column id, x, y"),
        ("id\tx\ty\n", "no column x_min, y_min, x_max, y_max; expected id"),
        (f"{HEADER}\n1\t4\tfour\t1\t1\t8\t8\n", "'four' as y in line 2, expected a number of pixels or n/a"),
        (f"{HEADER}\n1\t4\tinf\t1\t1\t8\t8\n", "'inf' as y in line 2"),
        (f"{HEADER}\n1\t4\t4\t1\t1\t8\n", "'' as y_max in line 2"),
        (f"{HEADER}\n0\t4\t4\t1\t1\t8\t8\n", "'0' as id in line 2, expected a whole number from 1"),
        (f"{HEADER}\nn/a\t4\t4\t1\t1\t8\t8\n", "'n/a' as id in line 2"),
        (f"{HEADER}\n1\t4\t4\t1\t1\t8\t8\n1\t5\t5\t1\t1\t8\t8\n", "id 1 twice"),
        (f"{HEADER}\n5\tn/a\tn/a\tn/a\tn/a\tn/a\tn/a\n", "id 5 has no whole point or box"),
        (f"{HEADER}\n5\t4\t4\t1\tn/a\t8\t8\n", "id 5 has no whole point or box"),
        (f"{HEADER}\n5\t4\t4\t8\t1\t1\t8\n", "the box of id 5 ends before it begins"),
        (f"{HEADER}\n5\t40\t4\t1\t1\t8\t8\n", "1 of 1 prompts outside the image, the first has id 5"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "a_prompts.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"a_prompts.tsv: {message}"):
        read_prompts(path, (10, 20))


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(InputError, match="a.tsv: no such file"):
        read_prompts(tmp_path / "a.tsv")
    (tmp_path / "a.tsv").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(InputError, match="a.tsv: cannot be read"):
        read_prompts(tmp_path / "a.tsv")
