"""What the trainings and evaluations of a plan left behind, image by image and fold by fold."""

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from tools.card.evaluation import read_metric, read_overall
from tools.card.statistics import summarise
from tools.card.units import group_images
from tools.runs.plan import Plan
from tools.runs.progress import read_state
from tools.toolbox import fold_units, read_toolbox

__all__ = [
    *("Split", "average_by_image", "case_name", "count_parameters", "described", "evaluation_seconds", "finite"),
    *("read_split", "read_trainings", "seconds_per_image", "summarise_images"),
]

SECTIONS = {"validation": "training", "testing": "testing"}
RUNNING_STATISTICS = ("running_mean", "running_var")
EPOCH_TIME = re.compile(r"Epoch\[1\] Complete\. Time taken: (\d+):(\d+):(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Split:
    """Scores of the networks of all folds on one split.

    Attributes
    ----------
    unit : str
        Kind of the independent unit, such as ``slide``.
    unit_of : dict of str to str
        Case, an image file relative to the dataset -> its unit.
    scores : dict
        Metric -> fold -> case -> score, NaN where undefined.
    overall : dict
        Metric -> fold -> value in metrics.csv.
    """

    unit: str
    unit_of: dict[str, str]
    scores: dict[str, dict[int, dict[str, float]]]
    overall: dict[str, dict[int, float]]

    @property
    def num_scored(self) -> int:
        """Images that were scored, one by several networks as often."""
        return sum(map(len, next(iter(self.scores.values())).values()))


def read_split(plan: Plan, split: str, value: str = "") -> Split:
    """Scores on ``validation`` or ``testing`` by the networks of a plan that has run.

    InputError if a file is missing or malformed, or folds have other metrics.
    """
    folder_of = {fold: plan.training(fold, value).folder / split for fold in plan.folds}
    known = read_toolbox(plan.bundle).metrics
    overall = {fold: read_overall(folder, known, allow_undefined=True) for fold, folder in folder_of.items()}
    first = next(iter(overall))
    for fold, values in overall.items():
        if values.keys() != overall[first].keys():
            raise InputError(
                f"{folder_of[fold] / 'metrics.csv'}: other metrics than in {folder_of[first]}; evaluate again"
            )
    scores = {m: {fold: read_metric(folder, m) for fold, folder in folder_of.items()} for m in overall[first]}
    images = sorted({image for by_fold in scores.values() for of in by_fold.values() for image in of})
    cases = group_images(images, fold_units(plan.bundle), SECTIONS[split])
    case_of = {image: case_name(Path(image), plan.dataset_dir) for image in images}
    return Split(
        unit=cases.unit,
        unit_of={case_of[image]: cases.unit_of[image] for image in images},
        scores={
            metric: {fold: {case_of[image]: score for image, score in of.items()} for fold, of in by_fold.items()}
            for metric, by_fold in scores.items()
        },
        overall={metric: {fold: values[metric] for fold, values in overall.items()} for metric in scores},
    )


def read_trainings(plan: Plan, value: str = "") -> dict[str, Any]:
    """``parameters`` of the network, and ``folds``: fold -> ``best_epoch``, ``epochs``."""
    states = {str(fold): read_state(plan.training(fold, value).resume) for fold in plan.folds}
    return {
        "parameters": count_parameters(plan.training(plan.folds[0], value).weights),
        "folds": {fold: {"best_epoch": of.best_epoch, "epochs": of.epochs} for fold, of in states.items()},
    }


def described(by_fold: Mapping[int, Mapping[str, float]], unit_of: Mapping[str, str]) -> dict[str, Any]:
    """Summaries of one metric, for each fold and of all of them; scores are NaN where undefined.

    Returns
    -------
    dict of str to object
        ``pooled`` and ``per_fold`` (fold -> the same) with mean, std, interval and numbers; ``cases``: case -> mean of
        its defined scores, None if there is none; ``cases_by_fold``.
    """
    pooled = average_by_image(list(by_fold.values()))
    return {
        "pooled": _brief(pooled, unit_of),
        "per_fold": {str(fold): _brief(scores, unit_of) for fold, scores in by_fold.items()},
        "cases": {case: finite(score) for case, score in pooled.items()},
        "cases_by_fold": {
            str(fold): {case: finite(score) for case, score in scores.items()} for fold, scores in by_fold.items()
        },
    }


def summarise_images(scores: Mapping[str, float], unit_of: Mapping[str, str]) -> dict[str, Any]:
    """What `tools.card.statistics.summarise` says of scores by image; with a mean of None where none is defined."""
    if all(map(math.isnan, scores.values())):
        return {"mean": None, "n": 0, "n_undefined": len(scores), "units": 0, "ci95": None}
    return summarise(list(scores.values()), [unit_of[image] for image in scores])


def average_by_image(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Image -> mean of the scores of the models that were evaluated on it, NaN where none of them defines it."""
    of_image: dict[str, list[float]] = {}
    for by_image in scores:
        for image, score in by_image.items():
            of_image.setdefault(image, []).extend([] if math.isnan(score) else [score])
    return {image: float(np.mean(values)) if values else math.nan for image, values in of_image.items()}


def case_name(image: Path, dataset_dir: Path) -> str:
    """An image file, relative to the dataset."""
    return Path(os.path.relpath(image.resolve(), dataset_dir.resolve())).as_posix()


def count_parameters(weights: Path) -> int:
    """Floating point numbers in a state_dict, without the running statistics of normalisations."""
    import torch  # slow to import

    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is not a checkpoint
        raise InputError(
            f"{weights}: missing, damaged, or not a PyTorch checkpoint ({type(error).__name__})"
        ) from error
    return sum(
        value.numel()
        for name, value in state.items()
        if value.is_floating_point() and not name.endswith(RUNNING_STATISTICS)
    )


def seconds_per_image(plan: Plan, splits: Mapping[str, Split], value: str = "") -> float | None:
    """Mean time of the evaluations, over all images and networks; None if a log does not give it."""
    logs = [plan.training(fold, value).log(split) for fold in plan.folds for split in splits]
    seconds = [taken for taken in map(evaluation_seconds, logs) if taken is not None]
    return sum(seconds) / sum(split.num_scored for split in splits.values()) if len(seconds) == len(logs) else None


def evaluation_seconds(log: Path) -> float | None:
    """Seconds that an evaluation took: reading, inference and metrics of all images, without start-up.

    None if there is no such log, or no line of the evaluator in it.
    """
    found = EPOCH_TIME.findall(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else []
    if not found:
        return None
    hours, minutes, seconds = map(float, found[-1])
    return 3600 * hours + 60 * minutes + seconds


def finite(score: float) -> float | None:
    """A score as JSON keeps it: None where it is undefined."""
    return float(score) if math.isfinite(score) else None


def _brief(scores: Mapping[str, float], unit_of: Mapping[str, str]) -> dict[str, Any]:
    summary = summarise_images(scores, unit_of)
    return {"std": None} | {key: value for key, value in summary.items() if key != "unit_means"}
