"""Statistics of paired scores: arrays in, numbers out."""

from collections.abc import Sequence

import numpy as np

__all__ = ["compare_pairs", "holm", "mean_ranks", "rank_biserial", "signed_rank_p"]


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


def _without_zeros(differences: Sequence[float]) -> np.ndarray:
    values = np.asarray(differences, float)
    return values[values != 0]
