"""A command's memory is its own, and its failure is told."""

from __future__ import annotations

import sys

import pytest

from common.errors import InputError
from tools.bench.child import run_measured


def test_peak_holds_what_the_child_held_for_a_moment_and_not_what_its_parent_holds():
    ballast = b"x" * 2**30
    _, small = run_measured([sys.executable, "-c", "pass"])
    seconds, large = run_measured([sys.executable, "-c", "x = b'x' * 2**30; del x"])
    assert seconds > 0 and large >= 2**30 and large > small and len(ballast) > small


def test_failure_names_the_command():
    with pytest.raises(InputError, match=r"raise SystemExit\(3\)'?: ended with 3"):
        run_measured([sys.executable, "-c", "raise SystemExit(3)"])
