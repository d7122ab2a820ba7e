"""What the trainings and evaluations of a bundle left behind, case by case and fold by fold."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

from common.errors import InputError
from tools.metrics_files import METRICS, group_images, read_metric, read_overall
from tools.runs.choices import read_json
from tools.runs.plan import Plan
from tools.runs.results import average_by_image, count_parameters, read_epochs, summarise_images

__all__ = ["case_name", "collect_bundle", "collect_split", "common_metric", "described", "evaluated_metrics"]

SECTIONS = {"validation": "training", "testing": "testing"}


def collect_bundle(plan: Plan) -> dict[str, object]:
    """Everything that was measured of one bundle.

    Parameters
    ----------
    plan : Plan
        A plan without a knob that has been run.

    Returns
    -------
    dict of str to object
        ``parameters``, ``folds`` (fold -> ``best_epoch``, ``epochs``) and ``splits``: split -> as from `collect_split`.

    Raises
    ------
    InputError
        If a result is missing or malformed.
    """
    folds = {}
    for fold in plan.folds:
        best_epoch, epochs = read_epochs(plan.folder("", fold) / "resume.pt")
        folds[str(fold)] = {"best_epoch": best_epoch, "epochs": epochs}
    return {
        "parameters": count_parameters(plan.folder("", plan.folds[0]) / "model.pt"),
        "folds": folds,
        "splits": {
            split: collect_split({fold: plan.folder("", fold) / split for fold in plan.folds}, split, plan.dataset_dir)
            for split in plan.splits
        },
    }


def collect_split(folder_of: Mapping[int, Path], split: str, dataset_dir: Path) -> dict[str, object]:
    """Scores of the networks of all folds on one split.

    Parameters
    ----------
    folder_of : mapping of int to Path
        Fold -> folder that its evaluation wrote to.
    split : str
        ``validation`` or ``testing``.
    dataset_dir : Path
        What the names of cases are relative to.

    Returns
    -------
    dict of str to object
        ``unit``, ``unit_of`` (case -> unit) and ``metrics``: metric -> as from `described`.

    Raises
    ------
    InputError
        If a file is missing or malformed, or folds have other metrics.
    """
    overall = {fold: read_overall(folder, allow_undefined=True) for fold, folder in folder_of.items()}
    first = next(iter(overall))
    for fold, values in overall.items():
        if values.keys() != overall[first].keys():
            raise InputError(f"{folder_of[fold]}: other metrics than in {folder_of[first]}; evaluate again")
    by_fold = {
        metric: {fold: read_metric(folder, metric) for fold, folder in folder_of.items()} for metric in overall[first]
    }
    images = sorted({image for scores in by_fold[next(iter(by_fold))].values() for image in scores})
    cases = group_images(images, SECTIONS[split])
    case_of = {image: case_name(Path(image), dataset_dir) for image in images}
    unit_of = {case_of[image]: cases.unit_of[image] for image in images}
    metrics = {}
    for metric, scores in by_fold.items():
        named = {fold: {case_of[image]: score for image, score in of.items()} for fold, of in scores.items()}
        metrics[metric] = described(named, unit_of)
    return {"unit": cases.unit, "unit_of": unit_of, "metrics": metrics}


def described(by_fold: Mapping[int, Mapping[str, float]], unit_of: Mapping[str, str]) -> dict[str, object]:
    """Summaries of one metric, for each fold and of all of them.

    Parameters
    ----------
    by_fold : mapping
        Fold -> case -> score, NaN where undefined.
    unit_of : mapping of str to str
        Case -> unit.

    Returns
    -------
    dict of str to object
        ``pooled`` and ``per_fold`` (fold -> the same) with mean, std, interval and numbers; ``cases``: case -> mean of
        its defined scores, None where there is none; ``cases_by_fold``.
    """
    pooled = average_by_image(list(by_fold.values()))
    return {
        "pooled": _summary(pooled, unit_of),
        "per_fold": {str(fold): _summary(scores, unit_of) for fold, scores in by_fold.items()},
        "cases": _defined(pooled),
        "cases_by_fold": {str(fold): _defined(scores) for fold, scores in by_fold.items()},
    }


def case_name(image: Path, dataset_dir: Path) -> str:
    """An image file, relative to the dataset."""
    return Path(os.path.relpath(image.resolve(), dataset_dir.resolve())).as_posix()


def evaluated_metrics(bundle: Path) -> list[str]:
    """Metrics that a bundle's evaluate.json saves case by case.

    Raises
    ------
    InputError
        If it has no MetricsSaver, or none with a metric that is known.
    """
    path = bundle / "configs/evaluate.json"
    handlers = read_json(path).get("validate#handlers") or []
    found = [handler.get("metric_details") or [] for handler in handlers if handler.get("_target_") == "MetricsSaver"]
    known = [metric for metrics in found for metric in metrics if metric in METRICS]
    if not known:
        raise InputError(f"{path}: no MetricsSaver in validate#handlers with some of {', '.join(METRICS)}; add it")
    return known


def common_metric(metrics_of: Mapping[str, list[str]], preferred: str) -> str:
    """The metric by which bundles are compared: the preferred one if all have it, else the first that they share.

    Parameters
    ----------
    metrics_of : mapping of str to list of str
        Bundle -> metrics of its evaluation.
    preferred : str

    Returns
    -------
    str

    Raises
    ------
    InputError
        If they share none.
    """
    shared = [metric for metric in METRICS if all(metric in metrics for metrics in metrics_of.values())]
    if not shared:
        has = "; ".join(f"{bundle}: {', '.join(metrics)}" for bundle, metrics in metrics_of.items())
        raise InputError(f"these bundles have no metric in common ({has}); cross-validate them one by one")
    return preferred if preferred in shared else shared[0]


def _summary(scores: Mapping[str, float], unit_of: Mapping[str, str]) -> dict[str, object]:
    summary = summarise_images(dict(scores), dict(unit_of))
    return {"std": None} | {key: value for key, value in summary.items() if key != "unit_means"}


def _defined(scores: Mapping[str, float]) -> dict[str, float | None]:
    return {case: None if math.isnan(score) else float(score) for case, score in scores.items()}
