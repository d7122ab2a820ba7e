"""What runs need to know about bundles: the metrics that choose and measure them, and what an inference writes."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from common.errors import InputError
from common.json_file import read_json
from tools.bundles import find_bundle, read_metadata
from tools.toolbox import Metric, metrics_of

__all__ = [
    *("common_metric", "evaluated_metrics", "find_bundles", "key_metric", "ranking_metrics", "threshold", "titles"),
    "why_no_probabilities",
]

OVERLAPS = ("dice", "iou")


def find_bundles(names: Iterable[str]) -> dict[str, Path]:
    """Folders of bundles by their names; InputError if one is unknown, or two have the same name."""
    found: dict[str, Path] = {}
    for name in names:
        root = find_bundle(str(name)).resolve()
        if root.name in found:
            raise InputError(
                f"{name}: {found[root.name]} has the same name; give every bundle once, under its own name"
            )
        found[root.name] = root
    return found


def key_metric(bundle: Path) -> str:
    """Name of the metric by which a bundle's training chooses the epoch; InputError if its train.json has none."""
    path = bundle / "configs/train.json"
    found = read_json(path).get("validate", {}).get("key_metric")
    if not isinstance(found, dict) or not found:
        raise InputError(f"{path}: validate#key_metric is {found!r}, expected one metric by name")
    return next(iter(found))


def evaluated_metrics(bundle: Path) -> list[str]:
    """Metrics that a bundle's evaluate.json saves case by case; InputError if it has no MetricsSaver of one."""
    path = bundle / "configs/evaluate.json"
    handlers = read_json(path).get("validate#handlers") or []
    known = read_json(bundle / "configs/train.json") | read_json(path)
    found = [
        handler.get("metric_details") or []
        for handler in handlers
        if str(handler.get("_target_")).endswith("MetricsSaver")
    ]
    # a list that several configs share stands at the top, and is referred to
    metrics = [
        metric for names in found for metric in (known[names.removeprefix("@")] if isinstance(names, str) else names)
    ]
    if not metrics:
        raise InputError(f"{path}: no MetricsSaver in validate#handlers with metric_details; add it")
    return metrics


def common_metric(metrics_of: Mapping[str, list[str]], preferred: str) -> str:
    """The metric by which bundles are compared: the preferred one if all have it, else the first that they share.

    ``metrics_of`` maps bundles to the metrics of their evaluation; InputError if they share none.
    """
    first, *others = metrics_of.values()
    shared = [metric for metric in first if all(metric in metrics for metrics in others)]
    if not shared:
        has = "; ".join(f"{bundle}: {', '.join(metrics)}" for bundle, metrics in metrics_of.items())
        raise InputError(f"these bundles have no metric in common ({has}); cross-validate them one by one")
    return preferred if preferred in shared else shared[0]


def ranking_metrics(bundle: Path) -> list[str]:
    """Those of the evaluated metrics by which bundles can be compared: the higher, the better."""
    about = metrics_of(read_metadata(bundle))
    return [name for name in evaluated_metrics(bundle) if not about.get(name, Metric(name)).lower_is_better]


def titles(bundle: Path) -> dict[str, str]:
    """Metric -> its title for people."""
    return {name: metric.title for name, metric in metrics_of(read_metadata(bundle)).items()}


def why_no_probabilities(bundle: Path) -> str | None:
    """Why a bundle cannot take part in ensembles; None if it can."""
    if "save_probability" not in read_json(bundle / "configs/inference.json"):
        return "it writes objects, not probabilities that could be averaged"
    if not any(metric in OVERLAPS for metric in evaluated_metrics(bundle)):
        return "its probabilities are not those of a mask, which dice and iou measure"
    return None


def threshold(bundle: Path, overrides: Mapping[str, str]) -> float:
    """The probability from which on a bundle's mask is foreground."""
    value = overrides.get("threshold", read_json(bundle / "configs/inference.json").get("threshold", 0.5))
    try:
        return float(value)
    except ValueError as error:
        raise InputError(f"--threshold {value}: expected a number between 0 and 1") from error
