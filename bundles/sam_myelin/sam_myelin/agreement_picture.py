"""Bland and Altman's picture: the difference of two measurements over their mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from .agreement import Agreement

__all__ = ["draw_agreement"]

Panel = tuple[str, np.ndarray, np.ndarray, "Agreement"]


def draw_agreement(panels: Sequence[Panel]) -> Figure:
    """Panels beside each other, one per quantity.

    Parameters
    ----------
    panels : sequence of (title, found, truth, agreement)
        Two measurements of the same objects, and how well they agree.

    Returns
    -------
    Figure
        With a dot per pair, a line at the bias, dashed ones at the limits; what is not finite is left out.
    """
    figure = Figure(figsize=(4 * len(panels), 3.1), layout="constrained")
    row = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, found, truth, agreement) in zip(row, panels, strict=True):
        bias, lower, upper, number = agreement
        axes.plot((found + truth) / 2, found - truth, "o", markersize=2.5, markeredgewidth=0)
        for value, style in ((bias, "-"), (lower, "--"), (upper, "--")):
            if np.isfinite(value):
                axes.axhline(value, linestyle=style, color="crimson")
        told = f"bias {bias:+.3f}, 95 % between {lower:+.3f} and {upper:+.3f}" if number > 1 else "too few"
        axes.set_title(f"{title}, n = {number}\n{told}", fontsize="medium")
        axes.set(xlabel="mean of result and truth", ylabel="result - truth")
        axes.grid(alpha=0.3)
    return figure
