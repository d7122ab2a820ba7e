"""The files in which MONAI's MetricsSaver leaves an evaluation."""

import math
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from common.errors import InputError
from common.tables import from_cell

__all__ = ["read_metric", "read_overall"]

EVALUATE_AGAIN = "evaluate again into an empty folder"


def read_overall(output_dir: Path, known: Collection[str], *, allow_undefined: bool = False) -> dict[str, float]:
    """Metric -> overall value in metrics.csv, of the known ones that are there; others, such as a loss, are left alone.

    ``allow_undefined`` returns NaN for a metric that no case defines. InputError if there is no such file, none of the
    metrics in it, or one that is undefined and must not be.
    """
    path = output_dir / "metrics.csv"
    if not path.is_file():
        raise InputError(f"{path}: no such file; run the bundle's evaluation with --output_dir {output_dir} first")
    rows = _read_rows(path, num_values=1)
    overall = {name: _number(values[0], path) for name, values in rows if name in known}
    for name, value in overall.items():
        if not (math.isfinite(value) or (allow_undefined and math.isnan(value))):
            raise InputError(f"{path}: {name} is {value}, no case defines it; leave it out of MetricsSaver's metrics")
    if not overall:
        found = ", ".join(name for name, _ in rows) or "nothing"
        raise InputError(f"{path}: found {found}, expected some of {', '.join(known)}; name the metrics so")
    return overall


def read_metric(output_dir: Path, metric: str) -> dict[str, float]:
    """Image file -> score in ``<metric>_raw.csv``, averaged over classes, NaN where undefined.

    InputError if the file is missing or malformed, names an image twice, or disagrees in the number of cases with
    ``<metric>_summary.csv``.
    """
    path = output_dir / f"{metric}_raw.csv"
    if not path.is_file():
        raise InputError(f"{path}: no such file, but metrics.csv has {metric}; add it to MetricsSaver's metric_details")
    header, *_ = path.read_text(encoding="utf-8").splitlines() or [""]
    if not header.endswith(",mean"):
        raise InputError(f"{path}: first line {header!r}, expected filename,...,mean; {EVALUATE_AGAIN}")
    rows = _read_rows(path, num_values=header.count(","))[1:]
    twice = [name for name, count in Counter(name for name, _ in rows).items() if count > 1]
    if twice:
        raise InputError(f"{path}: {twice[0]} occurs more than once; {EVALUATE_AGAIN}")
    scores = {name: _number(values[-1], path) for name, values in rows}
    num_defined = sum(not math.isnan(score) for score in scores.values())
    expected = _num_defined_in_summary(output_dir / f"{metric}_summary.csv")
    if expected not in (None, num_defined):
        raise InputError(f"{path}: {num_defined} defined cases, {expected} in {metric}_summary.csv; {EVALUATE_AGAIN}")
    return scores


def _num_defined_in_summary(path: Path) -> int | None:
    """Number of defined cases in a summary file; None if there is no such file or it does not say."""
    if not path.is_file():
        return None
    header, *_ = path.read_text(encoding="utf-8").splitlines() or [""]
    columns, rows = header.split(",")[1:], dict(_read_rows(path, num_values=header.count(",")))
    return int(_number(rows["mean"][columns.index("notnans")], path)) if "notnans" in columns else None


def _read_rows(path: Path, *, num_values: int) -> list[tuple[str, list[str]]]:
    """Name and values of each line; the name may hold commas, since MONAI quotes nothing."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        name, *values = line.rsplit(",", num_values)
        if len(values) != num_values:
            raise InputError(f"{path}: line {line!r}, expected a name and {num_values} values; {EVALUATE_AGAIN}")
        rows.append((from_cell(name), values))
    return rows


def _number(text: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{path}: {text!r}, expected a number; {EVALUATE_AGAIN}") from error
