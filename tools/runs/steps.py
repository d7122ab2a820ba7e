"""Commands that a verb runs one after another, shown as a user would type them."""

from __future__ import annotations

import logging
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tools.errors import InputError

__all__ = ["run_step", "start_process"]

logger = logging.getLogger(__name__)


def start_process(command: list[str]) -> subprocess.Popen:
    """A running command, what it prints on either stream as text; ``python`` becomes the interpreter that runs now."""
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    return subprocess.Popen([sys.executable, *command[1:]], **output)


def run_step(
    step: str, command: list[str], log: Path, *, start: Callable[[list[str]], subprocess.Popen] = start_process
) -> None:
    """Print and run one command; its output goes to a log file, its last line to a terminal's status line.

    Parameters
    ----------
    step : str
        Short name of the step.
    command : list of str
        Program and arguments, starting with ``python``.
    log : Path
        File to write or replace.
    start : callable
        Starts the command.

    Raises
    ------
    InputError
        If the command fails; it gives the last line of the output.
    """
    print("$", " ".join(_quote(word) for word in command), flush=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("w", buffering=1) as file, start(command) as process:  # by the line: for who follows it
        for line in process.stdout:
            file.write(line)
            _show_status(line)
    _show_status("")
    if process.returncode != 0:
        last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-1:]
        raise InputError(f"the step {step!r} failed: {''.join(last)} (the whole log: {log})")
    logger.info("%s: %.0f s", step, time.monotonic() - started)


def _quote(word: str) -> str:
    """The word as a user would type it: lists of config files hold single quotes already."""
    return f'"{word}"' if "'" in word else shlex.quote(word)


def _show_status(line: str) -> None:
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        print("\r" + line.strip()[:width].ljust(width), end="" if line else "\r", file=sys.stderr, flush=True)
