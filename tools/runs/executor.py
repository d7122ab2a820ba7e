"""Running what is not done yet, so that an interrupted comparison goes on."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path

from tools.atomic import replacing
from tools.errors import InputError
from tools.runs.choices import read_json
from tools.runs.plan import Plan, Step, steps
from tools.runs.warm import run_step

__all__ = ["forget", "is_done", "run_plan", "run_steps", "write_text"]

logger = logging.getLogger(__name__)

PROLONGING = ("max_epochs", "patience")  # with another value of these a training goes on, and is no other one


def run_plan(plan: Plan, validation: dict[str, object]) -> None:
    """Run every step that is not done, in order.

    Parameters
    ----------
    plan : Plan
    validation : dict of str to object
        Content of the config file for evaluations on the fold left out.

    Raises
    ------
    InputError
        If a step fails, or the output folder holds a comparison of another knob, or a training with other overrides.
    """
    plan.output_dir.mkdir(parents=True, exist_ok=True)
    _remember_knob(plan)
    write_text(plan.validation_config, json.dumps(validation, indent=4) + "\n")
    run_steps(plan, steps(plan))


def run_steps(plan: Plan, wanted: Iterable[Step]) -> None:
    """Run those of the steps that are not done, in order.

    Raises
    ------
    InputError
        If a step fails or leaves no result, or goes on with a training that was begun with other overrides.
    """
    for step in wanted:
        varied = f"{plan.knob} {step.value}" if plan.knob else plan.bundle.name
        name = f"{varied}, fold {step.fold}: {step.name}"
        if is_done(plan, step):
            logger.info("%s: done before", name)
            continue
        _stamp(plan, step).unlink(missing_ok=True)
        if step.name == "train":
            _remember_overrides(plan, plan.folder(step.value, step.fold))
        run_step(name, step.command, plan.log(step.value, step.fold, step.name))
        missing = [path for path in step.writes if not path.is_file()]
        if missing:
            raise InputError(f"{missing[0]}: not written by {name}; see {plan.log(step.value, step.fold, step.name)}")
        write_text(_stamp(plan, step), json.dumps({"command": step.command}, indent=4) + "\n")


def is_done(plan: Plan, step: Step) -> bool:
    """Whether this very command has finished, later than what it reads was written."""
    stamp = _stamp(plan, step)
    if not (stamp.is_file() and all(path.is_file() for path in (*step.reads, *step.writes))):
        return False
    finished = stamp.stat().st_mtime_ns
    return read_json(stamp).get("command") == step.command and all(
        path.stat().st_mtime_ns <= finished for path in step.reads
    )


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all; one that holds this text already keeps its date."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def forget(plan: Plan, step: Step) -> None:
    """Take a step for not done, so that it runs again."""
    _stamp(plan, step).unlink(missing_ok=True)


def _stamp(plan: Plan, step: Step) -> Path:
    """Written when a step has finished."""
    return plan.log(step.value, step.fold, step.name).with_suffix(".json")


def _remember_knob(plan: Plan) -> None:
    """Refuse a folder with values of another knob: one training could be taken for another of the same name."""
    path = plan.output_dir / "knob.json"
    begun = read_json(path).get("knob") if path.is_file() else plan.knob
    if begun != plan.knob:
        raise InputError(
            f"{plan.output_dir}: holds a comparison of {begun or 'folds'}, now it is of {plan.knob or 'folds'}; give "
            "another --output_dir"
        )
    write_text(path, json.dumps({"knob": plan.knob}) + "\n")


def _remember_overrides(plan: Plan, folder: Path) -> None:
    """Refuse to go on with a training that was begun with other overrides: its scores would be of neither."""
    path = folder / "overrides.json"
    if path.is_file() and (folder / "resume.pt").is_file() and plan.overrides.get("resume") != "False":
        begun = read_json(path)
        for key in sorted(begun.keys() | plan.overrides.keys()):
            if key not in PROLONGING and begun.get(key) != plan.overrides.get(key):
                raise InputError(
                    f"{folder}: holds a training with --{key} {begun.get(key, 'not given')}, now it is "
                    f"{plan.overrides.get(key, 'not given')}; give another --output_dir"
                )
    write_text(path, json.dumps(dict(plan.overrides), indent=4) + "\n")
