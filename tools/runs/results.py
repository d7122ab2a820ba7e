"""What the trainings and evaluations of a comparison left behind."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from tools.errors import InputError
from tools.metrics_files import group_images, read_metric, read_overall
from tools.runs.choices import read_json
from tools.runs.plan import Plan
from tools.scores import summarise

__all__ = ["average_by_image", "collect", "count_parameters", "evaluation_seconds", "read_epochs", "summarise_images"]

SECTIONS = {"validation": "training", "testing": "testing"}
RUNNING_STATISTICS = ("running_mean", "running_var")
EPOCH_TIME = re.compile(r"Epoch\[1\] Complete\. Time taken: (\d+):(\d+):(\d+(?:\.\d+)?)")


def collect(plan: Plan) -> dict[str, object]:
    """Everything that was measured, as compare.json keeps it.

    Parameters
    ----------
    plan : Plan
        A plan that has been run.

    Returns
    -------
    dict of str to object
        ``bundle``, ``dataset``, ``knob``, ``folds``, ``overrides`` and ``values``: value -> ``parameters``,
        ``seconds_per_image`` (None if the logs do not tell), ``folds`` (fold -> ``best_epoch``, ``epochs``) and
        ``splits``: split -> ``images``, ``units``, ``unit`` and ``metrics``: metric -> what `tools.scores.summarise`
        says of the scores by image, and ``overall_by_fold``, the values in metrics.csv. Undefined values are None.

    Raises
    ------
    InputError
        If a result is missing or malformed.
    """
    return {
        "bundle": plan.bundle.name,
        "dataset": read_json(plan.dataset_dir / "dataset.json").get("name") or plan.dataset_dir.resolve().name,
        "knob": plan.knob,
        "folds": list(plan.folds),
        "overrides": dict(plan.overrides),
        "values": {value: _collect_value(plan, value) for value in plan.values},
    }


def average_by_image(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    """One score for each image: the mean over the models that were evaluated on it.

    Parameters
    ----------
    scores : sequence of dict
        One for each model: image -> score, NaN where undefined.

    Returns
    -------
    dict of str to float
        NaN where it is undefined for all models.
    """
    of_image: dict[str, list[float]] = {}
    for by_image in scores:
        for image, score in by_image.items():
            of_image.setdefault(image, []).extend([] if math.isnan(score) else [score])
    return {image: float(np.mean(values)) if values else math.nan for image, values in of_image.items()}


def count_parameters(weights: Path) -> int:
    """Floating point numbers in a state_dict, without the running statistics of normalisations.

    Parameters
    ----------
    weights : Path
        model.pt

    Returns
    -------
    int

    Raises
    ------
    InputError
        If the file is no state_dict.
    """
    state = _load(weights)
    return sum(
        value.numel()
        for name, value in state.items()
        if value.is_floating_point() and not name.endswith(RUNNING_STATISTICS)
    )


def read_epochs(resume: Path) -> tuple[int, int]:
    """Epoch of the best validation, and epochs trained.

    Parameters
    ----------
    resume : Path
        resume.pt, which a training writes after each epoch.

    Returns
    -------
    best_epoch, epochs : int

    Raises
    ------
    InputError
        If the file is not the state of a training.
    """
    state = _load(resume)
    try:
        return int(state["progress"]["best_epoch"]), int(state["epoch"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{resume}: not the state of a training ({error!r} missing); train again") from error


def evaluation_seconds(log: Path) -> float | None:
    """Seconds that an evaluation took: reading, inference and metrics of all images, without start-up.

    Parameters
    ----------
    log : Path
        What the evaluation printed.

    Returns
    -------
    float or None
        None if there is no such file, or no line of the evaluator in it.
    """
    found = EPOCH_TIME.findall(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else []
    if not found:
        return None
    hours, minutes, seconds = map(float, found[-1])
    return 3600 * hours + 60 * minutes + seconds


def _collect_value(plan: Plan, value: str) -> dict[str, object]:
    folds = {}
    for fold in plan.folds:
        best_epoch, epochs = read_epochs(plan.folder(value, fold) / "resume.pt")
        folds[str(fold)] = {"best_epoch": best_epoch, "epochs": epochs}
    return {
        "parameters": count_parameters(plan.folder(value, plan.folds[0]) / "model.pt"),
        "seconds_per_image": _seconds_per_image(plan, value),
        "folds": folds,
        "splits": {split: _collect_split(plan, value, split) for split in plan.splits},
    }


def _collect_split(plan: Plan, value: str, split: str) -> dict[str, object]:
    """Scores of the models of all folds on one split."""
    folders = [plan.folder(value, fold) / split for fold in plan.folds]
    overall = [read_overall(folder, allow_undefined=True) for folder in folders]
    for folder, values in zip(folders, overall, strict=True):
        if values.keys() != overall[0].keys():
            raise InputError(f"{folder / 'metrics.csv'}: other metrics than in {folders[0]}; evaluate again")
    metrics, images = {}, {}
    for metric in overall[0]:
        scores = average_by_image([read_metric(folder, metric) for folder in folders])
        cases = group_images(list(scores), SECTIONS[split])
        images = images or cases.unit_of
        by_fold = {str(fold): _number(values[metric]) for fold, values in zip(plan.folds, overall, strict=True)}
        metrics[metric] = summarise_images(scores, cases.unit_of) | {"overall_by_fold": by_fold}
    return {"images": len(images), "units": len(set(images.values())), "unit": cases.unit, "metrics": metrics}


def summarise_images(scores: dict[str, float], unit_of: dict[str, str]) -> dict[str, object]:
    """What `tools.scores.summarise` says of scores by image; with a mean of None where none is defined."""
    if all(map(math.isnan, scores.values())):
        return {"mean": None, "n": 0, "n_undefined": len(scores), "units": 0, "ci95": None}
    return summarise(list(scores.values()), [unit_of[image] for image in scores])


def _seconds_per_image(plan: Plan, value: str) -> float | None:
    seconds, num_images = 0.0, 0
    for fold in plan.folds:
        for split in plan.splits:
            taken = evaluation_seconds(plan.log(value, fold, split))
            if taken is None:
                return None
            folder = plan.folder(value, fold) / split
            seconds += taken
            num_images += len(read_metric(folder, next(iter(read_overall(folder, allow_undefined=True)))))
    return seconds / num_images


def _load(path: Path) -> dict:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is not a checkpoint
        raise InputError(f"{path}: missing, damaged, or not a PyTorch checkpoint ({type(error).__name__})") from error


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
