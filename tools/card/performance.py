"""Measured scores as text: the Performance section of a model card."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tools.card.numbers import interval, number_of, rounded
from tools.toolbox import Metric, metric_named

__all__ = ["performance_table"]

COLUMNS = ["metric", "score", "per case, mean ± std", "95 % interval", "cases", "units", "data"]
COMMAND = """\
python -m monai.bundle run --config_file "['configs/train.json','configs/evaluate.json']" \\
    --dataset_dir DATASET_DIR --output_dir OUTPUT_DIR"""


def performance_table(eval_metrics: Mapping[str, Mapping[str, Any]], metrics: Mapping[str, Metric]) -> str:
    """The Performance section, Markdown, that belongs to the ``eval_metrics`` of a metadata.json; empty without any.

    ``metrics`` has titles, units and commands; one that is missing goes by its own name.
    """
    if not eval_metrics:
        return ""
    about = {name: metric_named(name, metrics) for name in eval_metrics}
    overall = _table(COLUMNS, [_overall_row(about[name], entry) for name, entry in eval_metrics.items()])
    note = f"{_about_interval(eval_metrics)} {_about_weights(eval_metrics)}"
    tables = _tables_of(eval_metrics, about, "unit_means", lambda entry: entry["unit"])
    tables += _tables_of(eval_metrics, about, "case_means", lambda entry: "case")
    return "\n\n".join([*_about_held_out(eval_metrics), overall, *tables, note, *_commands(about.values())])


def _about_held_out(eval_metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the scores are of, where they are not of the shipped weights."""
    units = sorted({entry["unit"] for entry in eval_metrics.values() if entry.get("held_out_sha256")})
    if not units:
        return []
    unit = " or ".join(units)
    return [
        f"**These are the scores of the recipe on a {unit} that it has not seen**: what is measured was left out of "
        "the training whose weights are measured. The shipped weights are the same recipe trained on it, too, so they "
        f"have no {unit} left to be measured on."
    ]


def _about_interval(eval_metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """How to read the score, and the interval where there is one."""
    in_turn = any(entry.get("held_out_sha256") for entry in eval_metrics.values())
    score = "Score: mean of the cases." if in_turn else "Score: as the evaluation pools it."
    if not any(entry["ci95"] for entry in eval_metrics.values()):
        return score
    return f"{score} Interval: of the mean per case, by bootstrap over whole units (10000 draws)."


def _about_weights(eval_metrics: Mapping[str, Mapping[str, Any]]) -> str:
    shipped = _named({entry["checkpoint_sha256"] for entry in eval_metrics.values()})
    others = _named({sha for entry in eval_metrics.values() for sha in entry.get("held_out_sha256", [])})
    if others:
        return (
            f"Shipped: `models/model.pt` (sha256 {shipped}). Measured with weights of sha256 {others} by, from the "
            "bundle's root and with `--ckpt_path` of the weights:"
        )
    return f"Measured with `models/model.pt` (sha256 {shipped}) by, from the bundle's root:"


def _named(checksums: set[str]) -> str:
    return ", ".join(f"`{checksum[:16]}`" for checksum in sorted(checksums))


def _commands(metrics: Iterable[Metric]) -> list[str]:
    """The commands that measure; where there are several, each with the metrics that it gives."""
    titles: dict[str, list[str]] = {}
    for metric in metrics:
        titles.setdefault(metric.command or COMMAND, []).append(metric.title)
    return [
        f"{', '.join(of)}:\n\n```bash\n{command}\n```" if len(titles) > 1 else f"```bash\n{command}\n```"
        for command, of in titles.items()
    ]


def _overall_row(metric: Metric, entry: Mapping[str, Any]) -> list[str]:
    undefined = f" ({entry['n_undefined']} more undefined)" if entry["n_undefined"] else ""
    per_case = rounded(entry.get("mean_per_case", entry["mean"]), metric.unit)
    return [
        metric.title,
        rounded(entry["mean"], metric.unit),
        per_case if entry["std"] is None else f"{per_case} ± {rounded(entry['std'])}",
        interval(entry["ci95"]) if entry["ci95"] else "one unit: none",
        f"{entry['n']}{undefined}",
        number_of(entry["units"], entry["unit"]),
        f"{entry['dataset']}, {entry['split']}",
    ]


def _tables_of(
    eval_metrics: Mapping[str, Mapping[str, Any]],
    about: Mapping[str, Metric],
    key: str,
    title_of: Callable[[Mapping], str],
) -> list[str]:
    """Tables of the scores under ``key``, for each dataset and title: a row for each name, a column for each metric."""
    together: dict[tuple[str, str], dict[str, Mapping]] = {}
    for name, entry in eval_metrics.items():
        if entry.get(key):
            together.setdefault((entry["dataset"], title_of(entry)), {})[name] = entry[key]
    tables = []
    for (_, unit), means in together.items():
        names = sorted(set().union(*means.values()))
        rows = [
            [name, *(rounded(of[name], about[m].unit) if name in of else "undefined" for m, of in means.items())]
            for name in names
        ]
        tables.append(_table([unit, *(about[metric].title for metric in means)], rows))
    return tables


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
