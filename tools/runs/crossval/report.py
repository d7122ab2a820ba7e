"""The report of a cross-validation: what its tables, texts and pictures say."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.card.numbers import interval, rounded
from tools.runs.table import Block, Heading, Picture, Table, Text
from tools.runs.words import as_words

__all__ = ["report_blocks", "signed"]

ABOUT_SPLIT = {
    "validation": "Validation: every image is scored by the one network that was not trained on its fold. It chose the "
    "epoch of every network, so its scores are optimistic.",
    "testing": "Testing: it chose no epoch; the pooled score of an image is the mean over the networks of all folds.",
}
ABOUT_DATA = (
    "By MONAI's DataAnalyzer, axes in the order of the files (X, Y, Z of NIfTI volumes), with all objects as one "
    "foreground; more is in `datastats.yaml`."
)
ABOUT_PLANES = " Spacing in pixels; 2 or more for planes that were thinned out to 4096 pixels at most."
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


def report_blocks(report: Mapping[str, Any], pictures: Mapping[str, Path]) -> list[Block]:
    """Everything that report.md and report.html show of a report as report.json keeps it.

    ``pictures``: ``courses``, a split, or ``worst BUNDLE CASE`` -> PNG; one that is missing is left out.
    """
    return list(_Report(report, pictures).blocks())


def signed(number: float) -> str:
    """A difference with its sign and four decimals."""
    return f"{'-' if number < 0 else '+'}{rounded(abs(number))}"


@dataclass(frozen=True)
class _Report:
    report: Mapping[str, Any]
    pictures: Mapping[str, Path]

    def blocks(self) -> Iterator[Block]:
        report = self.report
        overrides = " ".join(as_words(report["overrides"]))
        yield Heading(f"Cross-validation of {', '.join(report['bundles'])} on {report['dataset']}", 1)
        yield Text(
            f"Folds {', '.join(map(str, report['folds']))}; trained with {overrides or 'the defaults of train.json'}; "
            f"compared by {self.title}."
        )
        yield from self.data(report["data"])
        yield from self.trainings()
        for split in report["splits"]:
            yield from self.split(split)
            yield from self.contest(split)
        if "testing" in report["splits"]:
            yield from self.ensembles()
        else:
            yield Text(NO_TESTING)
        yield from self.worst(report["splits"][-1])

    @property
    def title(self) -> str:
        """Of the metric by which bundles are compared."""
        return self.title_of(self.report["metric"])

    def title_of(self, metric: str) -> str:
        return self.report["titles"].get(metric, metric)

    def picture(self, name: str, caption: str) -> Iterator[Block]:
        if name in self.pictures:
            yield Picture(self.pictures[name], caption)

    def data(self, data: Mapping[str, Any]) -> Iterator[Block]:
        share = f"{100 * data['foreground_share']:.1f} %"
        yield Heading("Data")
        yield Text(f"{data['cases']} labelled images; {share} of their pixels are foreground.")
        spreads = [[key, *map(_numbers, data[key])] for key in ("shape", "spacing")]
        yield Table(["", "smallest", "median", "largest"], spreads)
        named = {"image": data["intensity"], "foreground": data["foreground_intensity"]}
        yield Table.of(
            {"intensity": name, **{_percentile(key): f"{value:.4g}" for key, value in of.items()}}
            for name, of in named.items()
        )
        yield Text(ABOUT_DATA + (ABOUT_PLANES if len(data["shape"][0]) == 2 else ""))

    def trainings(self) -> Iterator[Block]:
        bundles = self.report["bundles"]
        yield Heading("Trainings")
        yield Table.of(
            {
                "bundle": bundle,
                "fold": fold,
                "epochs": str(of["epochs"]),
                "best epoch": str(of["best_epoch"]),
                "best validation": _known(of["best_score"], rounded),
                "parameters": f"{found['parameters'] / 1e6:.2f} M",
            }
            for bundle, found in bundles.items()
            for fold, of in found["folds"].items()
        )
        names = ", ".join(f"{bundle}: {self.title_of(of['key_metric'])}" for bundle, of in bundles.items())
        yield Text(
            f"Best validation during the training, by the bundle's own key metric ({names}), which may pool what is a "
            "mean of cases below."
        )
        yield from self.picture("courses", "Validation over the epochs; the star marks the weights that were kept")

    def split(self, split: str) -> Iterator[Block]:
        yield Heading(split.capitalize())
        yield Text(ABOUT_SPLIT[split])
        yield Table.of(
            {"bundle": bundle, "metric": self.title_of(metric), "fold": fold, **_cells(summary, of["unit"])}
            for bundle, of in ((bundle, found["splits"][split]) for bundle, found in self.report["bundles"].items())
            for metric, measured in of["metrics"].items()
            for fold, summary in {**measured["per_fold"], "pooled": measured["pooled"]}.items()
        )
        yield Text(ABOUT_INTERVALS)
        yield from self.picture(split, f"{self.title} of every case, {split}")

    def contest(self, split: str) -> Iterator[Block]:
        ranking = self.report["ranking"][split]
        if len(ranking) < 2:
            return
        yield Heading(f"{split.capitalize()}: ranking by {self.title}", 3)
        yield Table.of(
            {
                "": str(place),
                "who": row["name"],
                "mean": _known(row["mean"], rounded),
                "95 % interval": _interval(row["ci95"]),
                "mean rank": "" if row["mean_rank"] is None else f"{row['mean_rank']:.2f}",
                "cases": str(row["n"]),
            }
            for place, row in enumerate(ranking, start=1)
        )
        yield Text(ABOUT_RANKING)
        yield Table.of(
            {
                "first": pair["first"],
                "second": pair["second"],
                "cases": str(pair["n"]),
                "wins": f"{pair['wins']} ({pair['ties']} equal)",
                "mean difference": _known(pair["mean_difference"], signed),
                "95 % interval": " to ".join(map(signed, pair["ci95"])) if pair["ci95"] else "one unit: none",
                "p": _known(pair["p"], _p),
                "p (Holm)": _known(pair["p_holm"], _p),
                "effect": _known(pair["rank_biserial"], "{:+.2f}".format),
            }
            for pair in self.report["pairs"][split]
        )
        yield Text(ABOUT_PAIRS)

    def ensembles(self) -> Iterator[Block]:
        ensembles, absent = self.report["ensembles"].items(), self.report["without_probabilities"].items()
        yield Heading("Ensembles, on testing")
        rows = [
            {
                "ensemble": name,
                "metric": self.title_of(metric),
                **_cells(measured["pooled"], found["unit"]),
                "members": "; ".join(found["members"]),
            }
            for name, found in ensembles
            for metric, measured in found.get("metrics", {}).items()
        ]
        if rows:
            yield Table.of(rows)
            yield Text(ABOUT_ENSEMBLES)
        for name, found in ensembles:
            if "refused" in found:
                yield Text(f"{name} ({'; '.join(found['members'])}) is refused: {found['refused']}")
        for bundle, reason in absent:
            yield Text(f"{bundle} takes no part: {reason}.")

    def worst(self, split: str) -> Iterator[Block]:
        cases = [(bundle, of["case"], of["score"]) for bundle, worst in self.report["worst"].items() for of in worst]
        yield Heading(f"Worst cases, {split}")
        yield Table(["bundle", "case", self.title], [[bundle, case, rounded(score)] for bundle, case, score in cases])
        for bundle, case, score in cases:
            caption = f"{bundle}, {case}: {self.title} {rounded(score)}; truth green, result magenta"
            yield from self.picture(f"worst {bundle} {case}", caption)


def _cells(summary: Mapping[str, Any], unit: str) -> dict[str, str]:
    """A summary of scores, by column."""
    if summary["mean"] is None:
        undefined = f"0 ({summary['n_undefined']} undefined)"
        return {"mean": "undefined", "std": "", "95 % interval": "", "cases": undefined, "units": ""}
    undefined = f" ({summary['n_undefined']} undefined)" if summary["n_undefined"] else ""
    return {
        "mean": rounded(summary["mean"]),
        "std": rounded(summary["std"]) if summary["n"] > 1 else "one case: none",
        "95 % interval": _interval(summary["ci95"]),
        "cases": f"{summary['n']}{undefined}",
        "units": f"{summary['units']} ({unit})",
    }


def _known(number: float | None, show: Callable[[float], str]) -> str:
    return "undefined" if number is None else show(number)


def _interval(ends: Sequence[float] | None) -> str:
    return interval(ends) if ends else "one unit: none"


def _p(number: float) -> str:
    return "< 0.0001" if number < 0.0001 else f"{number:.4f}"


def _numbers(values: Sequence[float]) -> str:
    return " x ".join(f"{value:.4g}" for value in values)


def _percentile(key: str) -> str:
    """``percentile_99_5`` as ``99.5 %``."""
    if not key.startswith("percentile_"):
        return key
    return f"{float(key.removeprefix('percentile_').replace('_', '.')):g} %"
