"""Scores told apart by cell type."""

from collections.abc import Mapping, Sequence

import numpy as np

__all__ = ["ALL", "per_type_table"]

ALL = "all"


def per_type_table(scores: Mapping[str, Sequence[float]], cell_types: Sequence[str]) -> list[dict[str, str | float]]:
    """Mean and standard deviation over the images of each cell type, and over all images.

    Parameters
    ----------
    scores : mapping of str to sequence of float
        Metric -> one score per image. NaN, a score that is not defined, is left out.
    cell_types : sequence of str
        The cell type of each image, in the same order.

    Returns
    -------
    list of dict
        A row per cell type in alphabetic order, then the row ``all``: ``cell_type``, ``n`` (its images), and for each
        metric ``<metric>_mean`` and ``<metric>_std``. The deviation is that of the images themselves (divided by n), as
        in MONAI's summaries; both are NaN where no score is defined.

    Raises
    ------
    ValueError
        If a metric has not one score per image.
    """
    values = {name: np.asarray(score, np.float64).reshape(-1) for name, score in scores.items()}
    for name, score in values.items():
        if len(score) != len(cell_types):
            raise ValueError(f"{name}: {len(score)} scores for {len(cell_types)} images, expected one each")
    groups = {kind: np.array([one == kind for one in cell_types], bool) for kind in sorted(set(cell_types))}
    rows = []
    for kind, chosen in [*groups.items(), (ALL, np.ones(len(cell_types), bool))]:
        row: dict[str, str | float] = {"cell_type": kind, "n": int(chosen.sum())}
        for name, score in values.items():
            defined = score[chosen & ~np.isnan(score)]
            row[f"{name}_mean"] = float(defined.mean()) if defined.size else float("nan")
            row[f"{name}_std"] = float(defined.std()) if defined.size else float("nan")
        rows.append(row)
    return rows
