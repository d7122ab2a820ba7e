"""The scorer's benchmark measures two programs that agree."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from common.errors import InputError
from common.labels.seg import seg
from tools.bench import ctc as module
from tools.bench.ctc import Case, ctc, draw_frame


@pytest.mark.parametrize("case", module.CASES, ids=str)
def test_drawn_frames_hold_the_objects_of_their_case(case):
    small = replace(case, shape=tuple(length // 2 for length in case.shape))
    reference, result = draw_frame(np.random.default_rng(0), small)
    assert reference.shape == result.shape == small.shape and reference.dtype == result.dtype == np.uint16
    assert 0.9 * case.num_objects <= reference.max() <= case.num_objects
    assert 0.5 * case.filled < (reference > 0).mean() <= case.filled
    assert 0.1 < seg(reference, result) < 1
    num_labels = [len(np.unique(image)) for image in (reference, result)]
    assert (num_labels[0] == num_labels[1]) is not case.gaps


def test_table_says_what_was_reached(monkeypatch):
    monkeypatch.setattr(module, "CASES", (Case(2, (30, 40), 3, 0.3, 0, 1e9),))
    head, process, function, difference = ctc(rounds="1").splitlines()
    assert head.split() == ["what", "ours", "other", "ratio", "target", "met"]
    assert process.startswith("whole process, 2 frames of 30x40, 3 objects") and process.endswith("yes")
    assert "x faster  >= 1e+09 x  no" in function
    assert difference.endswith("< 1e-12     yes")


@pytest.mark.parametrize(
    ("options", "match"),
    [({"rounds": "0"}, "--rounds 0: expected a whole number, at least 1"), ({"round": "1"}, "did you mean --rounds")],
)
def test_bad_options_are_refused(options, match):
    with pytest.raises(InputError, match=match):
        ctc(**options)


def test_without_py_ctcmetrics_there_is_nothing_to_measure(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="py-ctcmetrics is not installed"):
        ctc()
