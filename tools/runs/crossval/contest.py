"""Which bundle or ensemble is better on the same cases: ranking, pairs and worst cases."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from tools.card.statistics import bootstrap_interval
from tools.runs.crossval.statistics import compare_pairs, holm, mean_ranks
from tools.runs.results import summarise_images

__all__ = ["pairs", "ranking", "worst_cases"]

Scores = Mapping[str, float | None]
DECIMALS = 4  # that MetricsSaver keeps of a score of 64 bits; what differs by less is equal


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
