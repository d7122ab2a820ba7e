"""What an evaluation measured, as metadata.json keeps it under eval_metrics."""

from __future__ import annotations

from pathlib import Path

from common.errors import InputError
from tools.card.evaluation import read_metric, read_overall
from tools.card.statistics import summarise
from tools.card.units import group_images
from tools.checksum import checksum
from tools.toolbox import fold_units, read_toolbox

__all__ = ["WEIGHTS", "measured_metrics"]

WEIGHTS = "models/model.pt"
MAX_UNITS_LISTED = 20
RAW_FILE_PRECISION = 1e-4  # MetricsSaver writes 64 bit scores with four decimals


def measured_metrics(output_dir: Path, bundle: Path) -> dict[str, dict[str, object]]:
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
        ``unit_means`` (for up to 20 units), ``dataset``, ``split``, ``checkpoint_sha256``.

    Raises
    ------
    InputError
        If a file is missing, files contradict each other, a metric is undefined for all cases, or the weights are
        newer than the evaluation.
    """
    weights = bundle / WEIGHTS
    overall = read_overall(output_dir, read_toolbox(bundle).metrics)
    scores = {metric: read_metric(output_dir, metric) for metric in overall}
    first, *others = scores
    for metric in others:
        if scores[metric].keys() != scores[first].keys():
            raise InputError(f"{output_dir}: {first}_raw.csv and {metric}_raw.csv list other images; evaluate again")
    cases = group_images(list(scores[first]), fold_units(bundle))
    _check_weights(weights, output_dir / "metrics.csv")
    origin = {"dataset": cases.dataset, "split": "testing", "checkpoint_sha256": checksum(weights)}
    measured = {}
    for metric, score_of in scores.items():
        try:
            summary = summarise(list(score_of.values()), [cases.unit_of[image] for image in score_of])
        except ValueError as error:
            raise InputError(f"{output_dir / f'{metric}_raw.csv'}: {error}") from error
        measured[metric] = _entry(overall[metric], summary, cases.unit) | origin
    return measured


def _check_weights(weights: Path, metrics: Path) -> None:
    """Refuse weights that are missing, or were put there after the evaluation: it measured others."""
    if not weights.is_file():
        raise InputError(f"{weights}: no such file; ship the weights that were evaluated, then run card")
    if weights.stat().st_mtime > metrics.stat().st_mtime:
        raise InputError(f"{metrics}: older than {weights}, so of other weights; evaluate the shipped ones")


def _entry(overall: float, summary: dict[str, object], unit: str) -> dict[str, object]:
    """One metric, with metrics.csv's value for the mean and long breakdowns left out."""
    per_case = summary.pop("mean")
    unit_means = summary.pop("unit_means")
    pooled = {"mean_per_case": per_case} if abs(per_case - overall) > RAW_FILE_PRECISION else {}
    listed = {"unit_means": unit_means} if unit != "case" and len(unit_means) <= MAX_UNITS_LISTED else {}
    return {"mean": overall} | pooled | summary | {"unit": unit} | listed
