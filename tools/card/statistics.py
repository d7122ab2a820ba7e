"""Statistics of scores: cases come in groups, and only the groups are independent."""

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["bootstrap_interval", "summarise"]


def bootstrap_interval(
    scores: Sequence[float], units: Sequence[str], *, num_draws: int = 10000, level: float = 0.95, seed: int = 0
) -> tuple[float, float] | None:
    """Percentile bootstrap interval of the mean over cases, drawn by unit; None for fewer than two units.

    Whole units are drawn with replacement, as many as there are; the statistic of a draw is the mean over all cases of
    its units. Frames of one embryo are alike, so drawing single frames would promise too much. Scores, one per case,
    are without NaN; ``units`` is the independent unit (sequence, subject, slide) of each; ``level`` the share of the
    draws inside the interval.
    """
    names, index = np.unique(np.asarray(units), return_inverse=True)
    if len(names) < 2:
        return None
    sums, counts = np.bincount(index, weights=scores), np.bincount(index)
    times_drawn = np.random.default_rng(seed).multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=num_draws
    )
    means = times_drawn @ sums / (times_drawn @ counts)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def summarise(scores: Sequence[float], units: Sequence[str]) -> dict[str, Any]:
    """Mean, spread and interval of one metric.

    Parameters
    ----------
    scores : sequence of float
        One per case; NaN where the metric is undefined, such as SEG without a reference object.
    units : sequence of str
        The independent unit of each case.

    Returns
    -------
    dict of str to object
        ``mean`` and ``std`` (population, as in MONAI's summary files; None for a single case) over the defined cases,
        ``n`` of those,
        ``n_undefined``, number of ``units`` with a defined case, ``ci95`` as [low, high] or None, and ``unit_means``:
        unit -> mean over its defined cases.

    Raises
    ------
    ValueError
        If the numbers of scores and units differ, or no score is defined.
    """
    if len(scores) != len(units):
        raise ValueError(f"{len(scores)} scores and {len(units)} units; give each case its unit")
    defined = [(float(score), unit) for score, unit in zip(scores, units, strict=True) if not np.isnan(score)]
    if not defined:
        raise ValueError(f"none of {len(scores)} scores is defined; expected at least one that is not NaN")
    values, groups = np.array([score for score, _ in defined]), [unit for _, unit in defined]
    interval = bootstrap_interval(values.tolist(), groups)
    return {
        "mean": float(values.mean()),
        "std": float(values.std()) if len(values) > 1 else None,
        "n": len(values),
        "n_undefined": len(scores) - len(values),
        "units": len(set(groups)),
        "ci95": None if interval is None else list(interval),
        "unit_means": {unit: float(np.mean([s for s, u in defined if u == unit])) for unit in sorted(set(groups))},
    }
