"""A comparison as text: a table of what was trained, one of each split, and how to read them."""

from collections.abc import Iterator, Mapping

from tools.card.numbers import interval, number_of, rounded
from tools.runs.table import Block, Heading, Table, Text, as_markdown
from tools.runs.words import as_words

__all__ = ["as_text"]

ABOUT_PARAMETERS = (
    "Parameters: floating point numbers in model.pt, without running statistics. Epochs: one number per fold; the "
    "weights are those of the best epoch."
)
ABOUT_SECONDS = (
    "s per image: the evaluator's own time for its run, that is reading, inference and metrics without start-up and "
    "loading of the weights, over the images of all evaluations; comparable where these ran on the same idle machine."
)
ABOUT_SPLIT = {
    "validation": "Validation chose the epoch of every model, so its scores are optimistic; each image is scored by "
    "the one model that was not trained on its fold.",
    "testing": "Testing chose nothing, so its scores are not optimistic until the best row is picked by them; the "
    "score of an image is the mean over the models of the folds.",
}
NO_TESTING = "There are no labelled images under testing, so there is no score that is not optimistic."


def as_text(comparison: Mapping[str, object]) -> str:
    """Markdown about what `tools.runs.compare.commands.collect` found: tables with one row for each value."""
    return as_markdown(list(_blocks(comparison)))


def _blocks(comparison: Mapping) -> Iterator[Block]:
    by_value, knob, folds = comparison["values"], comparison["knob"], ", ".join(map(str, comparison["folds"]))
    splits = next(iter(by_value.values()))["splits"]
    yield Heading(f"{comparison['bundle']} on {comparison['dataset']}, folds {folds}: values of {knob}", 1)
    yield Text(f"Trained with {' '.join(as_words(comparison['overrides'])) or 'the defaults of train.json'}.")
    columns = [knob, "parameters", "best epoch", "epochs", "s per image"]
    yield Table(columns, [[value, *_training_cells(trained)] for value, trained in by_value.items()])
    yield Text(f"{ABOUT_PARAMETERS} {ABOUT_SECONDS}")
    for split, first in splits.items():
        of_split = {value: trained["splits"][split] for value, trained in by_value.items()}
        yield from _split_blocks(of_split, knob, split, comparison["titles"])
        yield Text(f"{ABOUT_SPLIT[split]} {_about_interval(first)}")
    if "testing" not in splits:
        yield Text(NO_TESTING)


def _training_cells(trained: Mapping) -> list[str]:
    folds, seconds = trained["folds"].values(), trained["seconds_per_image"]
    return [
        f"{trained['parameters'] / 1e6:.2f} M",
        *(", ".join(str(fold[key]) for fold in folds) for key in ("best_epoch", "epochs")),
        "not in the logs" if seconds is None else f"{seconds:.2f}",
    ]


def _split_blocks(by_value: Mapping[str, Mapping], knob: str, split: str, titles: Mapping[str, str]) -> Iterator[Block]:
    """Heading with n, and the table of scores."""
    first = next(iter(by_value.values()))
    metrics = list(dict.fromkeys(metric for of in by_value.values() for metric in of["metrics"]))
    groups = "" if first["unit"] == "case" else f" of {number_of(first['units'], first['unit'])}"
    yield Heading(f"{split.capitalize()}: n = {number_of(first['images'], 'image')}{groups}")
    rows = [
        [value, *(_cell(of["metrics"].get(metric), first["images"]) for metric in metrics)]
        for value, of in by_value.items()
    ]
    yield Table([knob, *(titles.get(metric, metric) for metric in metrics)], rows)


def _cell(summary: Mapping | None, num_images: int) -> str:
    """Mean, interval, and n where some images have no score."""
    if summary is None:
        return "not measured"
    if summary["mean"] is None:
        return "undefined"
    within = f" ({interval(summary['ci95'])})" if summary["ci95"] else ""
    fewer = f", n = {summary['n']}" if summary["n"] != num_images else ""
    return f"{rounded(summary['mean'])}{within}{fewer}"


def _about_interval(split: Mapping) -> str:
    unit = "image" if split["unit"] == "case" else split["unit"]
    if split["units"] < 2:
        return f"Mean over images. No interval: there is one {unit}, and a bootstrap needs two."
    return (
        f"Mean over images and 95 % interval of it, by bootstrap over whole {unit}s (10000 draws). "
        f"The interval says how far other {unit}s may differ, not other trainings."
    )
