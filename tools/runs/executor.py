"""Runs the steps that are not done, so that an interrupted run continues; shows commands and their progress."""

import contextlib
import functools
import logging
import multiprocessing
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError, find_input_error
from common.json_file import read_json
from tools.lifeline import end_with_parent
from tools.runs import warm
from tools.runs.files import is_newer, write_json
from tools.runs.plan import Plan, validation_override
from tools.runs.steps import Step
from tools.runs.words import as_typed
from tools.spreading import Spread, one_by_one

__all__ = ["REFUSED", "forget", "is_done", "run_chains", "run_plans", "run_step", "run_steps"]

logger = logging.getLogger(__name__)

REFUSED = "failed: error: "  # in the message of a step whose last words are those for bad input
PROLONGING = ("max_epochs", "patience")  # with another value of these a training continues, and is no other one


def run_plans(plans: Sequence[Plan], spread: Spread = one_by_one) -> None:
    """Run every step of some plans that is not done: see `run_chains`.

    InputError if a step fails, or an output folder holds a comparison of another knob, or a training with other
    overrides.
    """
    for plan in plans:
        validation = validation_override(plan.bundle)
        _remember_knob(plan)
        write_json(plan.validation_config, validation)
    run_chains([chain for plan in plans for chain in plan.chains()], spread)


def run_chains(chains: Sequence[Sequence[Step]], spread: Spread = one_by_one) -> None:
    """Run steps that need each other in order, in the same process; the chains that they make up wherever they go.

    InputError if a step fails. Here, this ends the run; where chains are spread over processes, the others are
    finished first.
    """
    failures = []
    for chain, error in spread(functools.partial(_run_in, Path.cwd()), chains):
        if error is not None and (spread is one_by_one or find_input_error(error) is None):
            raise error
        if error is not None:
            failures.append(str(error))
            logger.error("%s", error)
        elif spread is not one_by_one:
            logger.info("%s: done", chain[-1].title)
    if failures:
        raise InputError(f"{failures[0]} ({len(failures)} of {len(chains)} failed, the others are done)")


def _run_in(folder: Path, steps: Iterable[Step]) -> None:
    with contextlib.chdir(folder):
        run_steps(steps)


def run_steps(steps: Iterable[Step]) -> None:
    """Run those of the steps that are not done, in order.

    InputError if a step fails or leaves no result, or continues with a training that was begun with other overrides.
    """
    for step in steps:
        if is_done(step):
            logger.info("%s: done before", step.title)
            continue
        forget(step)
        if step.overrides is not None:
            _remember_overrides(step.log.parents[1], step.overrides)
        run_step(step.title, step.command, step.log)
        missing = [path for path in step.writes if not path.is_file()]
        if missing:
            raise InputError(f"{missing[0]}: not written by {step.title}; see {step.log}")
        write_json(_stamp(step), {"command": step.command})


def is_done(step: Step) -> bool:
    """Whether this very command has finished, later than what it reads was written."""
    stamp = _stamp(step)
    is_there = is_newer(stamp, step.reads) and all(path.is_file() for path in step.writes)
    return is_there and read_json(stamp).get("command") == step.command


def forget(step: Step) -> None:
    """Mark a step as not done, so that it runs again."""
    _stamp(step).unlink(missing_ok=True)


def run_step(title: str, command: list[str], log: Path, *, start: Callable[[list[str]], Any] | None = None) -> None:
    """Print and run a command; its output goes to a log file, its last line to a terminal's status line.

    The command begins with ``python``. Without ``start``, ``python -m monai.bundle`` is forked from a process that has
    imported MONAI, where there is fork. InputError, with the last line of the output, if it fails.
    """
    print("$", as_typed(command), flush=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("w", buffering=1) as file, (start or _starter(command))(command) as process:  # for who follows it
        for line in process.stdout:
            file.write(line)
            _show_status(line)
    _show_status("")
    if process.returncode != 0:
        last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-1:]
        raise InputError(f"the step {title!r} failed: {''.join(last)} (the whole log: {log})")
    logger.info("%s: %.0f s", title, time.monotonic() - started)


def _starter(command: list[str]) -> Callable[[list[str]], Any]:
    is_warm = (
        command[:3] == ["python", "-m", "monai.bundle"]
        and warm.can_fork()
        and not multiprocessing.current_process().daemon  # as workers of a cluster are that somebody else started
    )
    return warm.WarmProcess if is_warm else _start_process


def _start_process(command: list[str]) -> subprocess.Popen:
    """A running command, what it prints on either stream as text; ``python`` becomes the interpreter that runs now."""
    words = [sys.executable, *command[1:]]
    return subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=end_with_parent if sys.platform == "linux" else None,
    )


def _show_status(line: str) -> None:
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        print("\r" + line.strip()[:width].ljust(width), end="" if line else "\r", file=sys.stderr, flush=True)


def _stamp(step: Step) -> Path:
    """Written when a step has finished."""
    return step.log.with_suffix(".json")


def _remember_knob(plan: Plan) -> None:
    """Refuse a folder with values of another knob: one training could be taken for another of the same name."""
    path = plan.output_dir / "knob.json"
    begun = read_json(path).get("knob") if path.is_file() else plan.knob
    if begun != plan.knob:
        raise InputError(
            f"{plan.output_dir}: holds a comparison of {begun or 'folds'}, now it is of {plan.knob or 'folds'}; give "
            "another --output_dir"
        )
    write_json(path, {"knob": plan.knob})


def _remember_overrides(folder: Path, wanted: Mapping[str, str]) -> None:
    """Refuse to go on with a training that was begun with other overrides: its scores would be of neither."""
    path = folder / "overrides.json"
    if path.is_file() and (folder / "resume.pt").is_file() and wanted.get("resume") != "False":
        begun = read_json(path)
        for key in sorted(begun.keys() | wanted.keys()):
            if key not in PROLONGING and begun.get(key) != wanted.get(key):
                raise InputError(
                    f"{folder}: holds a training with --{key} {begun.get(key, 'not given')}, now it is "
                    f"{wanted.get(key, 'not given')}; give another --output_dir"
                )
    write_json(path, wanted)
