import pytest

from common.errors import InputError
from tools.bench.onnx_backend import onnx, rows_of


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.5, ["8.00 x faster", "2.00 x faster"]), (2.0, ["2.00 x faster", "2.00 x slower"])]
)
def test_rows_say_which_is_faster_and_what_was_reached(seconds, words):
    record = {"bundle": "a", "seconds_onnx": seconds, "seconds_torch": 1.0, "seconds_torch_float32": 4.0}
    differences = {"probability_difference": 1e-6, "mask_difference": 0.002, "mask_difference_as_served": 0.0123}
    rows = rows_of(record | differences)
    assert [row.ratio for row in rows[:2]] == words and [row.met for row in rows] == ["", "", "yes", "no", ""]
    assert rows[-1].ours == "1.230%"


def test_unknown_bundle_is_refused():
    with pytest.raises(InputError, match="nothing: neither a bundle's name"):
        onnx(bundles="nothing")
