"""A comparison as text: a table of what was trained, one of each split, and how to read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.performance import TITLES, cut

__all__ = ["aligned_table", "as_text"]

ABOUT_PARAMETERS = (
    "Parameters: floating point numbers in model.pt, without running statistics. Epochs: one number per fold; the "
    "weights are those of the best epoch."
)
ABOUT_SECONDS = (
    "s per image: the evaluator's own time for its run, that is reading, inference and metrics without start-up and "
    "loading of the weights, over the images of all evaluations; comparable where these ran on the same idle machine."
)
ABOUT_VALIDATION = (
    "Validation chose the epoch of every model, so its scores are optimistic; each image is scored by the one model "
    "that was not trained on its fold."
)
ABOUT_TESTING = (
    "Testing chose nothing, so its scores are not optimistic until the best row is picked by them; the score of "
    "an image is the mean over the models of the folds."
)
NO_TESTING = "There are no labelled images under testing, so there is no score that is not optimistic."


def as_text(comparison: Mapping[str, object]) -> str:
    """Markdown that can be read as it is, with aligned columns.

    Parameters
    ----------
    comparison : mapping
        As from `tools.runs.results.collect`.

    Returns
    -------
    str
        Tables with one row for each value, and what they are made of.
    """
    by_value, knob, folds = comparison["values"], comparison["knob"], ", ".join(map(str, comparison["folds"]))
    splits = next(iter(by_value.values()))["splits"]
    overrides = " ".join(f"--{key} {value}" for key, value in comparison["overrides"].items())
    parts = [
        f"# {comparison['bundle']} on {comparison['dataset']}, folds {folds}: values of {knob}",
        f"Trained with {overrides or 'the defaults of train.json'}.",
        _value_table(by_value, knob),
        f"{ABOUT_PARAMETERS} {ABOUT_SECONDS}",
    ]
    for split, about in (("validation", ABOUT_VALIDATION), ("testing", ABOUT_TESTING)):
        if split in splits:
            parts += [*_split_parts(by_value, knob, split), f"{about} {_about_interval(splits[split])}"]
    if "testing" not in splits:
        parts.append(NO_TESTING)
    return "\n\n".join(parts)


def _value_table(by_value: Mapping[str, Mapping], knob: str) -> str:
    columns = [knob, "parameters", "best epoch", "epochs", "s per image"]
    rows = [
        [
            name,
            f"{trained['parameters'] / 1e6:.2f} M",
            ", ".join(str(fold["best_epoch"]) for fold in trained["folds"].values()),
            ", ".join(str(fold["epochs"]) for fold in trained["folds"].values()),
            "not in the logs" if trained["seconds_per_image"] is None else f"{trained['seconds_per_image']:.2f}",
        ]
        for name, trained in by_value.items()
    ]
    return aligned_table(columns, rows)


def _split_parts(by_value: Mapping[str, Mapping], knob: str, split: str) -> list[str]:
    """Heading with n, and the table of scores."""
    first = next(iter(by_value.values()))["splits"][split]
    metrics = list(dict.fromkeys(m for trained in by_value.values() for m in trained["splits"][split]["metrics"]))
    rows = [
        [name, *(_cell(trained["splits"][split]["metrics"].get(metric), first["images"]) for metric in metrics)]
        for name, trained in by_value.items()
    ]
    n = f"n = {_number_of(first['images'], 'image')}"
    groups = "" if first["unit"] == "case" else f" of {_number_of(first['units'], first['unit'])}"
    return [f"## {split.capitalize()}: {n}{groups}", aligned_table([knob, *(TITLES[m] for m in metrics)], rows)]


def _cell(summary: Mapping[str, object] | None, num_images: int) -> str:
    """Mean, interval, and n where some images have no score."""
    if summary is None:
        return "not measured"
    if summary["mean"] is None:
        return "undefined"
    interval = f" ({' to '.join(map(cut, summary['ci95']))})" if summary["ci95"] else ""
    fewer = f", n = {summary['n']}" if summary["n"] != num_images else ""
    return f"{cut(summary['mean'])}{interval}{fewer}"


def _about_interval(split: Mapping[str, object]) -> str:
    unit = "image" if split["unit"] == "case" else split["unit"]
    if split["units"] < 2:
        return f"Mean over images, cut, not rounded. No interval: there is one {unit}, and a bootstrap needs two."
    return (
        f"Mean over images and 95 % interval of it, by bootstrap over whole {unit}s (10000 draws); cut, not rounded. "
        f"The interval says how far other {unit}s may differ, not other trainings."
    )


def _number_of(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def aligned_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that can be read as it is."""
    columns, *rows = [[cell.replace("|", "\\|") for cell in line] for line in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    ruler = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in (columns, ruler, *rows)
    )
