"""The report of a cross-validation: what its tables, texts and pictures say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tools.card.numbers import interval, rounded
from tools.runs.table import Block, Heading, Picture, Table, Text
from tools.runs.words import as_words

__all__ = ["report_blocks", "signed"]

ABOUT_SPLIT = {
    "validation": "Validation: every image is scored by the one network that was not trained on its fold. It chose the "
    "epoch of every network, so its scores are optimistic.",
    "testing": "Testing: it chose no epoch; the pooled score of an image is the mean over the networks of all folds.",
}
ABOUT_INTERVALS = (
    "Mean over cases, std over cases, and 95 % interval of the mean by bootstrap over whole units (10000 draws), where "
    "there are two at least."
)
ABOUT_PAIRS = (
    "Differences are first minus second on the cases that both define. p: Wilcoxon's signed-rank test, two-sided, and "
    "after Holm for all pairs of the table; effect: matched-pairs rank-biserial correlation, 1 where the first is "
    "better in every case, -1 where the second is. The test takes cases as independent; where several belong to one "
    "unit, the interval, which is drawn by unit, is the more careful statement."
)
ABOUT_RANKING = "By the mean; mean rank: of the ranks in every single case, 1 is the best."
ABOUT_ENSEMBLES = (
    "The members' probabilities are averaged, the mean passes the threshold, and MONAI's metrics compare the mask with "
    "the truth, before objects are made or small ones removed."
)
NO_TESTING = "There are no labelled images under testing, so there are no ensembles and no score that chose nothing."


def report_blocks(report: Mapping[str, object], pictures: Mapping[str, Path]) -> list[Block]:
    """Everything that report.md and report.html show.

    Parameters
    ----------
    report : mapping
        As report.json keeps it.
    pictures : mapping of str to Path
        ``courses``, a split, or ``worst BUNDLE CASE`` -> PNG; one that is missing is left out.
    """
    parts = (_head(report), _data(report), _trainings(report, pictures), _splits(report, pictures))
    return [block for part in (*parts, _ensembles(report), _worst(report, pictures)) for block in part]


def signed(number: float | None) -> str:
    """A difference with its sign and four decimals."""
    return "undefined" if number is None else f"{'-' if number < 0 else '+'}{rounded(abs(number))}"


def _title(report: Mapping, metric: str) -> str:
    return report["titles"].get(metric, metric)


def _head(report: Mapping) -> Iterator[Block]:
    overrides = " ".join(as_words(report["overrides"]))
    yield Heading(f"Cross-validation of {', '.join(report['bundles'])} on {report['dataset']}", 1)
    yield Text(
        f"Folds {', '.join(map(str, report['folds']))}; trained with {overrides or 'the defaults of train.json'}; "
        f"compared by {_title(report, report['metric'])}."
    )


def _data(report: Mapping) -> Iterator[Block]:
    data = report["data"]
    spreads = [[key, *(_numbers(values) for values in data[key])] for key in ("shape", "spacing")]
    yield Heading("Data")
    yield Text(
        f"{data['cases']} labelled images; {100 * data['foreground_share']:.1f} % of their pixels are foreground."
    )
    yield Table(["", "smallest", "median", "largest"], spreads)
    keys = list(data["intensity"])
    rows = [
        [name, *(f"{values[key]:.4g}" for key in keys)]
        for name, values in (("image", data["intensity"]), ("foreground", data["foreground_intensity"]))
    ]
    yield Table(["intensity", *(_percentile(key) for key in keys)], rows)
    about_planes = " Spacing in pixels; 2 or more for planes that were thinned out to 4096 pixels at most."
    yield Text(
        "By MONAI's DataAnalyzer, axes in the order of the files (X, Y, Z of NIfTI volumes), with all objects as one "
        "foreground; more is in `datastats.yaml`."
        f"{about_planes if len(data['shape'][0]) == 2 else ''}"
    )


def _trainings(report: Mapping, pictures: Mapping[str, Path]) -> Iterator[Block]:
    yield Heading("Trainings")
    rows = [
        [
            bundle,
            fold,
            str(of["epochs"]),
            str(of["best_epoch"]),
            _score(of["best_score"]),
            f"{found['parameters'] / 1e6:.2f} M",
        ]
        for bundle, found in report["bundles"].items()
        for fold, of in found["folds"].items()
    ]
    yield Table(["bundle", "fold", "epochs", "best epoch", "best validation", "parameters"], rows)
    names = ", ".join(f"{bundle}: {_title(report, of['key_metric'])}" for bundle, of in report["bundles"].items())
    yield Text(
        f"Best validation during the training, by the bundle's own key metric ({names}), which may pool what is a mean "
        "of cases below."
    )
    if "courses" in pictures:
        yield Picture(pictures["courses"], "Validation over the epochs; the star marks the weights that were kept")


def _splits(report: Mapping, pictures: Mapping[str, Path]) -> Iterator[Block]:
    for split in report["splits"]:
        yield Heading(split.capitalize())
        yield Text(ABOUT_SPLIT[split])
        yield from _split_tables(report, split)
        yield Text(ABOUT_INTERVALS)
        if split in pictures:
            yield Picture(pictures[split], f"{_title(report, report['metric'])} of every case, {split}")
        yield from _contest(report, split)
    if "testing" not in report["splits"]:
        yield Text(NO_TESTING)


def _split_tables(report: Mapping, split: str) -> Iterator[Block]:
    columns = ["bundle", "metric", "fold", "mean", "std", "95 % interval", "cases", "units"]
    rows = []
    for bundle, found in report["bundles"].items():
        of_split = found["splits"][split]
        for metric, measured in of_split["metrics"].items():
            for fold, summary in {**measured["per_fold"], "pooled": measured["pooled"]}.items():
                rows.append([bundle, _title(report, metric), fold, *_summary_cells(summary, of_split["unit"])])
    yield Table(columns, rows)


def _contest(report: Mapping, split: str) -> Iterator[Block]:
    ranking, pairs = report["ranking"].get(split, []), report["pairs"].get(split, [])
    if len(ranking) < 2:
        return
    rows = [
        [
            str(place),
            row["name"],
            _score(row["mean"]),
            _interval(row["ci95"]),
            _decimal(row["mean_rank"]),
            str(row["n"]),
        ]
        for place, row in enumerate(ranking, start=1)
    ]
    yield Heading(f"{split.capitalize()}: ranking by {_title(report, report['metric'])}", 3)
    yield Table(["", "who", "mean", "95 % interval", "mean rank", "cases"], rows)
    yield Text(ABOUT_RANKING)
    columns = ["first", "second", "cases", "wins", "mean difference", "95 % interval", "p", "p (Holm)", "effect"]
    yield Table(columns, [_pair_row(pair) for pair in pairs])
    yield Text(ABOUT_PAIRS)


def _pair_row(pair: Mapping) -> list[str]:
    within = " to ".join(map(signed, pair["ci95"])) if pair["ci95"] else "one unit: none"
    return [
        *(pair["first"], pair["second"], str(pair["n"]), f"{pair['wins']} ({pair['ties']} equal)"),
        *(signed(pair["mean_difference"]), within, _p(pair["p"]), _p(pair["p_holm"])),
        "undefined" if pair["rank_biserial"] is None else f"{pair['rank_biserial']:+.2f}",
    ]


def _ensembles(report: Mapping) -> Iterator[Block]:
    if "testing" not in report["splits"]:
        return
    yield Heading("Ensembles, on testing")
    rows, notes = [], []
    for name, found in report["ensembles"].items():
        if "refused" in found:
            notes.append(f"{name} ({'; '.join(found['members'])}) is refused: {found['refused']}")
            continue
        for metric, measured in found["metrics"].items():
            cells = _summary_cells(measured["pooled"], found["unit"])
            rows.append([name, _title(report, metric), *cells, "; ".join(found["members"])])
    if rows:
        yield Table(["ensemble", "metric", "mean", "std", "95 % interval", "cases", "units", "members"], rows)
        yield Text(ABOUT_ENSEMBLES)
    notes += [f"{bundle} takes no part: {reason}." for bundle, reason in report["without_probabilities"].items()]
    for note in notes:
        yield Text(note)


def _worst(report: Mapping, pictures: Mapping[str, Path]) -> Iterator[Block]:
    split = report["splits"][-1]
    yield Heading(f"Worst cases, {split}")
    title = _title(report, report["metric"])
    rows = [[bundle, w["case"], _score(w["score"])] for bundle, worst in report["worst"].items() for w in worst]
    yield Table(["bundle", "case", title], rows)
    for bundle, worst in report["worst"].items():
        for case in worst:
            picture = pictures.get(f"worst {bundle} {case['case']}")
            if picture:
                yield Picture(
                    picture, f"{bundle}, {case['case']}: {title} {_score(case['score'])}; truth green, result magenta"
                )


def _summary_cells(summary: Mapping, unit: str) -> list[str]:
    if summary["mean"] is None:
        return ["undefined", "", "", f"0 ({summary['n_undefined']} undefined)", ""]
    undefined = f" ({summary['n_undefined']} undefined)" if summary["n_undefined"] else ""
    spread = rounded(summary["std"]) if summary["n"] > 1 else "one case: none"
    return [
        *(rounded(summary["mean"]), spread, _interval(summary["ci95"]), f"{summary['n']}{undefined}"),
        f"{summary['units']} ({unit})",
    ]


def _interval(ends: Sequence[float] | None) -> str:
    return interval(ends) if ends else "one unit: none"


def _score(number: float | None) -> str:
    return "undefined" if number is None else rounded(number)


def _decimal(number: float | None) -> str:
    return "" if number is None else f"{number:.2f}"


def _p(number: float | None) -> str:
    return "undefined" if number is None else "< 0.0001" if number < 0.0001 else f"{number:.4f}"


def _numbers(values: Sequence[float]) -> str:
    return " x ".join(f"{value:.4g}" for value in values)


def _percentile(key: str) -> str:
    """``percentile_99_5`` as ``99.5 %``."""
    if not key.startswith("percentile_"):
        return key
    return f"{float(key.removeprefix('percentile_').replace('_', '.')):g} %"
