"""Prompts of a request."""

import pytest

from common.errors import InputError
from tools.segment.prompts import parse_prompts, write_prompts

HUGE = f"[[1{400 * '0'},1,2,3]]"


@pytest.mark.parametrize(
    "text", ["", "1", "[]", "[[1,2,3]]", '[["a",1,2,3]]', "[[1,2,3,NaN]]", "[" * 5000, pytest.param(HUGE, id="huge")]
)
@pytest.mark.parametrize("name", ["boxes", "points"])
def test_what_is_none(name, text):
    with pytest.raises(InputError, match=f"{name}: expected JSON"):
        parse_prompts(name, text)


def test_prompts_of_a_request_become_a_table(tmp_path):
    boxes, points = parse_prompts("boxes", "[[1, 2, 3.5, 4]]"), parse_prompts("points", "[[5, 6], [7, 8]]")
    write_prompts(tmp_path / "a.tsv", points=points, boxes=boxes)
    assert (tmp_path / "a.tsv").read_text().splitlines() == [
        "id\tx\ty\tx_min\ty_min\tx_max\ty_max",
        "1\t5.0\t6.0\tn/a\tn/a\tn/a\tn/a",
        "2\t7.0\t8.0\tn/a\tn/a\tn/a\tn/a",
        "3\tn/a\tn/a\t1.0\t2.0\t3.5\t4.0",
    ]
