"""Numbers are rounded as people expect, names cannot break the table, and edits touch only their part of a file."""

import json

import pytest

from common.errors import InputError
from tools.card.numbers import number_of, rounded
from tools.card.performance import performance_table
from tools.card.sections import END, START, replace_eval_metrics, replace_section, section
from tools.toolbox import Metric

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


METRICS = {"iou": Metric("IoU"), "seg": Metric("SEG"), "count_error": Metric("Count error", "nuclei", True)}


@pytest.mark.parametrize(
    ("number", "text"), [(0.57, "0.5700"), (0.99999, "1.0000"), (0.12344, "0.1234"), (1, "1.0000"), (6e-05, "0.0001")]
)
def test_decimals_are_rounded(number, text):
    assert rounded(number) == text


def test_names_with_bars_stay_in_their_cell():
    table = performance_table({"iou": ENTRY}, METRICS)
    assert "| x\\|y, testing |" in table and "| a\\|b | 0.8000 |" in table and "| one unit: none |" in table


def test_single_case_has_neither_spread_nor_interval():
    entry = ENTRY | {"n": 1, "std": None, "unit_means": {"B": 0.8}}
    text = performance_table({"iou": entry}, METRICS)
    assert "| IoU | 0.8000 | 0.8000 | one unit: none | 1 | 1 slide | x\\|y, testing |" in text
    assert "±" not in text.splitlines()[2] and "Interval" not in text


def test_score_that_is_a_count_has_its_unit():
    text = performance_table({"count_error": ENTRY | {"mean": 0.54545, "unit_means": {"B": 1.5}}}, METRICS)
    assert "| Count error | 0.5455 nuclei | 0.5455 nuclei ± 0.1000 |" in text and "| B | 1.5000 nuclei |" in text


def test_metric_without_a_title_goes_by_its_name():
    assert "| hausdorff | 0.8000 |" in performance_table({"hausdorff": ENTRY}, METRICS)


def test_each_command_is_named_with_what_it_measures():
    metrics = METRICS | {"seg": Metric("SEG", command="python other.py")}
    text = performance_table({"iou": ENTRY, "seg": ENTRY}, metrics)
    assert "IoU:\n\n```bash\npython -m monai.bundle run" in text and "SEG:\n\n```bash\npython other.py\n```" in text


def test_nouns_follow_their_number():
    assert [number_of(count, "slide") for count in (0, 1, 2)] == ["0 slides", "1 slide", "2 slides"]


def test_unit_that_only_one_metric_defines_is_shown():
    table = performance_table({"iou": ENTRY, "seg": ENTRY | {"unit_means": {"c": 0.5}}}, METRICS)
    assert "| a\\|b | 0.8000 | undefined |\n| c | undefined | 0.5000 |" in table


def test_nothing_measured_is_nothing_written():
    assert performance_table({}, METRICS) == ""


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
