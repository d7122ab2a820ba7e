"""Time and memory of a command, measured from outside."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence

from tools.errors import InputError

__all__ = ["run_measured"]


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
        Largest resident set. Linux hands a child the size that its parent had, so call this before the caller grows.

    Raises
    ------
    InputError
        If the command fails.
    """
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=sys.__stderr__.fileno())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise InputError(f"{shlex.join(command)}: ended with {process.returncode}; its last lines say why")
    return time.perf_counter() - started, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
