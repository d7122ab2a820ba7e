"""What an evaluation measured, as metadata.json keeps it under eval_metrics."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError
from tools.bundles import WEIGHTS
from tools.card.evaluation import read_metric, read_overall
from tools.card.statistics import summarise
from tools.card.units import Cases, group_images
from tools.checksum import checksum
from tools.toolbox import ALIGNED, fold_units, read_toolbox

__all__ = ["held_out_metrics", "measured_metrics"]

MAX_UNITS_LISTED = 20
RAW_FILE_PRECISION = 1e-4  # MetricsSaver writes 64 bit scores with four decimals


def measured_metrics(output_dir: Path, bundle: Path) -> dict[str, dict[str, Any]]:
    """What an evaluation measured, as metadata.json keeps it.

    Parameters
    ----------
    output_dir : Path
        Folder that the evaluation wrote to.
    bundle : Path
        The bundle's folder, with the weights that were evaluated.

    Returns
    -------
    dict of str to dict
        Metric -> ``mean`` (the value in metrics.csv; where it pools over objects the mean over cases stands under
        ``mean_per_case``), ``std`` (null for a single case), ``n``, ``n_undefined``, ``units``, ``unit``, ``ci95``,
        ``unit_means`` (for up to 20 units), ``dataset``, ``split``, ``checkpoint_sha256``. The names of metrics end in
        ``_aligned`` where the converter moved the truth onto the images: those stand beside the raw ones.

    Raises
    ------
    InputError
        If a file is missing, files contradict each other, a metric is undefined for all cases, or the weights are
        newer than the evaluation.
    """
    weights = bundle / WEIGHTS
    overall, scores, cases = _read(output_dir, bundle)
    _check_weights(weights, output_dir / "metrics.csv")
    origin = {"dataset": cases.dataset, "split": "testing", "checkpoint_sha256": checksum(weights)}
    measured = {}
    for metric, score_of in scores.items():
        summary = _summary(score_of, cases.unit_of, output_dir / f"{metric}_raw.csv")
        name = metric + ALIGNED if cases.aligned else metric
        measured[name] = _entry(overall[metric], summary, cases.unit) | origin
    return measured


def held_out_metrics(output_dirs: Sequence[Path], trained: Sequence[Path], bundle: Path) -> dict[str, dict[str, Any]]:
    """Scores of a recipe on units that its training did not see, if the shipped weights have seen them all.

    Parameters
    ----------
    output_dirs : sequence of Path
        Folders that evaluations wrote to, no image in two of them.
    trained : sequence of Path
        For each of them the weights that were evaluated, trained without the units of those images.
    bundle : Path
        The bundle's folder, whose shipped weights are the same recipe trained on everything.

    Returns
    -------
    dict of str to dict
        As for `measured_metrics`; ``mean`` is that of the cases of all evaluations, ``case_means`` has the score of
        each image by its file name, ``held_out_sha256`` the checksums of the evaluated weights, ``checkpoint_sha256``
        that of the shipped ones.

    Raises
    ------
    InputError
        As for `measured_metrics`; also if the evaluations do not belong together, or a unit is under training, too.
    """
    if len(output_dirs) != len(trained):
        raise InputError(f"{len(output_dirs)} evaluations and {len(trained)} weights; give each evaluation its weights")
    shipped = bundle / WEIGHTS
    if not shipped.is_file():
        raise InputError(f"{shipped}: no such file; ship weights of the recipe, then run card")
    together: dict[str, dict[str, float]] = {}
    all_cases = []
    for output_dir, weights in zip(output_dirs, trained, strict=True):
        _, scores, cases = _read(output_dir, bundle, disjoint=True)
        _check_weights(weights, output_dir / "metrics.csv")
        for metric, score_of in scores.items():
            together.setdefault(metric, {}).update(score_of)
        all_cases.append(cases)
    first = all_cases[0]
    if any((cases.dataset, cases.unit) != (first.dataset, first.unit) for cases in all_cases):
        raise InputError(f"{output_dirs[0]} and others: of several datasets; evaluate one dataset, with other splits")
    unit_of = {image: unit for cases in all_cases for image, unit in cases.unit_of.items()}
    names = {image: Path(image).name for image in unit_of}
    if len(set(names.values())) < sum(len(cases.unit_of) for cases in all_cases):
        raise InputError(f"{output_dirs[0]} and others: an image is in two of them; evaluate each once")
    origin: dict[str, Any] = {"dataset": first.dataset, "split": "held out", "checkpoint_sha256": checksum(shipped)}
    origin["held_out_sha256"] = [checksum(weights) for weights in trained]
    measured = {}
    for metric, score_of in together.items():
        if len(score_of) != len(unit_of):
            raise InputError(f"{output_dirs[0]} and others: {metric} is not in all of them; evaluate again")
        summary = _summary(score_of, unit_of, output_dirs[0] / f"{metric}_raw.csv")
        is_short = summary["units"] < len(score_of) <= MAX_UNITS_LISTED
        defined = {names[image]: score for image, score in score_of.items() if not math.isnan(score)}
        listed = {"case_means": defined} if is_short else {}
        measured[metric] = _entry(summary["mean"], summary, first.unit) | listed | origin
    return measured


def _read(
    output_dir: Path, bundle: Path, *, disjoint: bool = False
) -> tuple[dict[str, float], dict[str, dict[str, float]], Cases]:
    """Overall values, scores of every image, and units of an evaluation."""
    overall = read_overall(output_dir, read_toolbox(bundle).metrics)
    scores = {metric: read_metric(output_dir, metric) for metric in overall}
    first, *others = scores
    for metric in others:
        if scores[metric].keys() != scores[first].keys():
            raise InputError(f"{output_dir}: {first}_raw.csv and {metric}_raw.csv list other images; evaluate again")
    return overall, scores, group_images(list(scores[first]), fold_units(bundle), disjoint=disjoint)


def _summary(score_of: dict[str, float], unit_of: dict[str, str], source: Path) -> dict[str, Any]:
    try:
        return summarise(list(score_of.values()), [unit_of[image] for image in score_of])
    except ValueError as error:
        raise InputError(f"{source}: {error}") from error


def _check_weights(weights: Path, metrics: Path) -> None:
    """Refuse weights that are missing, or were put there after the evaluation: it measured others."""
    if not weights.is_file():
        raise InputError(f"{weights}: no such file; ship the weights that were evaluated, then run card")
    if weights.stat().st_mtime > metrics.stat().st_mtime:
        raise InputError(f"{metrics}: older than {weights}, so of other weights; evaluate the shipped ones")


def _entry(overall: float, summary: dict[str, Any], unit: str) -> dict[str, Any]:
    """One metric, with metrics.csv's value for the mean and long breakdowns left out."""
    per_case = summary.pop("mean")
    unit_means = summary.pop("unit_means")
    pooled = {"mean_per_case": per_case} if abs(per_case - overall) > RAW_FILE_PRECISION else {}
    listed = {"unit_means": unit_means} if unit != "case" and len(unit_means) <= MAX_UNITS_LISTED else {}
    return {"mean": overall} | pooled | summary | {"unit": unit} | listed
