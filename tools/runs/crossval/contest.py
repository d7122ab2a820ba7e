"""Which bundle or ensemble is better on the same cases: paired statistics, ranking, pairs and worst cases."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from tools.card.statistics import bootstrap_interval
from tools.runs.results import summarise_images

__all__ = [
    *("compare_pairs", "holm", "mean_ranks", "pairs", "rank_biserial", "ranking", "signed_rank_p", "worst_cases"),
]

Scores = Mapping[str, float | None]
DECIMALS = 4  # that MetricsSaver keeps of a score of 64 bits; what differs by less is equal


def signed_rank_p(differences: Sequence[float]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test that differences, one per case, are symmetric about 0.

    Those of 0 are left out, as Wilcoxon did. Exact up to 50 differences, with ties among them up to 13; 1 where none is
    left.
    """
    from scipy.stats import wilcoxon  # slow to import

    values = _without_zeros(differences)
    return float(wilcoxon(values).pvalue) if len(values) else 1.0


def rank_biserial(differences: Sequence[float]) -> float:
    """Matched-pairs rank-biserial correlation [1]_, the effect size that belongs to the signed-rank test.

    Share of the ranks of positive differences minus that of negative ones: 1 where all are positive, -1 where all are
    negative, 0 where both weigh the same or all are 0.

    References
    ----------
    .. [1] Kerby (2014), doi:10.2466/11.IT.3.1
    """
    from scipy.stats import rankdata  # slow to import

    values = _without_zeros(differences)
    if not len(values):
        return 0.0
    ranks = rankdata(np.abs(values))
    return float((ranks * np.sign(values)).sum() / ranks.sum())


def compare_pairs(first: Sequence[float], second: Sequence[float]) -> dict[str, float | int | None]:
    """How scores of the same cases, in the same order, differ; a case that either leaves undefined (NaN) is left out.

    Returns
    -------
    dict of str to float
        ``n`` compared cases, ``wins`` of the first, ``ties``, ``mean_difference`` (first minus second),
        ``median_difference``, ``p`` and ``rank_biserial``; None for all but the counts where no case is left.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} scores; pairs need as many")
    differences = np.subtract(np.asarray(first, float), np.asarray(second, float))
    differences = differences[~np.isnan(differences)]
    counts = {"n": len(differences), "wins": int((differences > 0).sum()), "ties": int((differences == 0).sum())}
    if not len(differences):
        return counts | dict.fromkeys(("mean_difference", "median_difference", "p", "rank_biserial"))
    return counts | {
        "mean_difference": float(differences.mean()),
        "median_difference": float(np.median(differences)),
        "p": signed_rank_p(differences),
        "rank_biserial": rank_biserial(differences),
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """P values of several tests, corrected after Holm so that all of them together are wrong as seldom as one."""
    values = np.asarray(p_values, float)
    order = np.argsort(values)
    raised = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(raised, 1)
    return corrected.tolist()


def mean_ranks(scores: Sequence[Sequence[float]]) -> list[float] | None:
    """Mean rank of each column, where every row ranks its scores; 1 is the largest, ties share their mean rank.

    Rows with NaN are left out; None where no row is left.
    """
    from scipy.stats import rankdata  # slow to import

    table = np.asarray(scores, float)
    table = table[~np.isnan(table).any(axis=1)] if table.ndim == 2 else table[:0]
    return rankdata(-table, axis=1).mean(axis=0).tolist() if len(table) else None


def ranking(scores_of: Mapping[str, Scores], unit_of: Mapping[str, str]) -> list[dict[str, Any]]:
    """Competitors, the best first, by their scores by case, None where undefined; those without a score come last.

    Each has ``name``, ``mean``, ``std``, ``ci95``, ``n`` and ``mean_rank`` over the cases that all competitors define;
    None without such cases.
    """
    cases = sorted(set.intersection(*(set(scores) for scores in scores_of.values())))
    ranks = mean_ranks([[_rounded(scores[case]) for scores in scores_of.values()] for case in cases])
    rows = []
    for index, (name, scores) in enumerate(scores_of.items()):
        summary = summarise_images({case: _number(score) for case, score in scores.items()}, unit_of)
        row = {"name": name, **{key: summary.get(key) for key in ("mean", "std", "ci95", "n")}}
        rows.append(row | {"mean_rank": None if ranks is None else ranks[index]})
    return sorted(rows, key=lambda row: -math.inf if row["mean"] is None else row["mean"], reverse=True)


def pairs(scores_of: Mapping[str, Scores], unit_of: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every two competitors on the cases that both define.

    Each has ``first``, ``second``, what `compare_pairs` says, ``ci95`` of the mean difference by bootstrap over units
    (None with fewer than two) and ``p_holm``, corrected for the number of pairs.
    """
    found: list[dict[str, Any]] = []
    for first, second in combinations(scores_of, 2):
        one, other = scores_of[first], scores_of[second]
        cases = [case for case in one if None not in (one[case], other.get(case))]
        values = [[_rounded(scores[case]) for case in cases] for scores in (one, other)]
        differences = [a - b for a, b in zip(*values, strict=True)]
        units = [unit_of[case] for case in cases]
        interval = bootstrap_interval(differences, units) if cases else None
        numbers = compare_pairs(*values) | {"units": len(set(units)), "ci95": interval}
        found.append({"first": first, "second": second, **numbers})
    corrected = iter(holm([pair["p"] for pair in found if pair["p"] is not None]))
    return [pair | {"p_holm": None if pair["p"] is None else next(corrected)} for pair in found]


def worst_cases(scores: Scores, num_cases: int) -> Sequence[tuple[str, float]]:
    """Cases with the lowest scores, the worst first; undefined ones are left out."""
    defined = [(case, score) for case, score in scores.items() if score is not None]
    return sorted(defined, key=lambda pair: (pair[1], pair[0]))[:num_cases]


def _number(score: float | None) -> float:
    return math.nan if score is None else score


def _rounded(score: float | None) -> float:
    return round(_number(score), DECIMALS)


def _without_zeros(differences: Sequence[float]) -> np.ndarray:
    values = np.asarray(differences, float)
    return values[values != 0]
