"""Numbers are never rounded up, names cannot break the table, and edits touch only their part of a file."""

from __future__ import annotations

import json

import pytest

from common.errors import InputError
from tools.performance import END, START, cut, performance_table, replace_eval_metrics, replace_section, section

ENTRY = {
    "mean": 0.8,
    "std": 0.1,
    "n": 3,
    "n_undefined": 0,
    "units": 1,
    "ci95": None,
    "unit": "slide",
    "unit_means": {"a|b": 0.8},
    "dataset": "x|y",
    "split": "testing",
    "checkpoint_sha256": "0" * 64,
}


@pytest.mark.parametrize(
    ("number", "text"), [(0.57, "0.5700"), (0.99999, "0.9999"), (0.8999999, "0.8999"), (1, "1.0000"), (1e-05, "0.0000")]
)
def test_decimals_are_cut(number, text):
    assert cut(number) == text


def test_names_with_bars_stay_in_their_cell():
    table = performance_table({"iou": ENTRY})
    assert "| x\\|y, testing |" in table and "| a\\|b | 0.8000 |" in table and "| one unit: none |" in table


def test_unit_that_only_one_metric_defines_is_shown():
    table = performance_table({"iou": ENTRY, "seg": ENTRY | {"unit_means": {"c": 0.5}}})
    assert "| a\\|b | 0.8000 | undefined |\n| c | undefined | 0.5000 |" in table


def test_nothing_measured_is_nothing_written():
    assert performance_table({}) == ""


def test_section_comes_back():
    assert section(replace_section(f"a\n{START}old{END}\nb", "new")) == "new"


@pytest.mark.parametrize("text", ["", START, END + START, START + START + END, START + END + END])
def test_markers_are_there_once_and_in_order(text):
    with pytest.raises(InputError, match="expected the lines <!-- performance"):
        section(text)


@pytest.mark.parametrize("former", ["{}", '{"iou": {"mean": 0.5}}', '{\n        "dice": 1\n    }'])
def test_former_metrics_of_any_shape_are_replaced(former):
    text = replace_eval_metrics(f'{{\n    "eval_metrics": {former},\n    "last": 1\n}}', {"iou": ENTRY})
    assert json.loads(text) == {"eval_metrics": {"iou": ENTRY}, "last": 1}
    assert text.endswith('\n        }\n    },\n    "last": 1\n}')
