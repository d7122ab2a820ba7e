"""Time and memory of a command, measured from outside."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common.errors import InputError

__all__ = ["run_measured"]

# Linux counts what a process held before exec, so a child of a large process seems large itself: a small one measures
_MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


def run_measured(command: Sequence[str]) -> tuple[float, int]:
    """Run a command; what it prints goes to stderr.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.

    Returns
    -------
    seconds : float
        Wall-clock time.
    peak_bytes : int
        Largest resident set.

    Raises
    ------
    InputError
        If the command fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "peak")
        started = time.perf_counter()
        code = subprocess.call([sys.executable, "-c", _MEASURE, report, *command], stdout=sys.__stderr__.fileno())
        seconds = time.perf_counter() - started
        if code != 0:
            raise InputError(f"{shlex.join(command)}: ended with {code}; its last lines say why")
        return seconds, int(report.read_text()) * (1 if sys.platform == "darwin" else 1024)
