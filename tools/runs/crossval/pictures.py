"""Plots of a cross-validation, as PNG."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from common.figures import save_figure

__all__ = ["draw_courses", "draw_scores"]

MIN_BOX = 5  # quartiles of fewer scores are hardly more than the scores themselves
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#f0e442")


def draw_scores(path: Path, scores_of: Mapping[str, Sequence[float]], title: str) -> None:
    """A dot for each case of every competitor; over five of them or more a box, over fewer a line at their median.

    ``scores_of`` maps competitors to defined scores by case; those without one are left out.
    """
    shown = {name: list(scores) for name, scores in scores_of.items() if len(scores)}
    figure = Figure(figsize=(9, 1.2 + 0.55 * max(len(shown), 1)), layout="constrained")
    axes = figure.subplots()
    if shown:
        places = range(len(shown), 0, -1)
        for place, scores, colour in zip(places, shown.values(), _colours(len(shown)), strict=True):
            if len(scores) < MIN_BOX:
                axes.plot([median(scores)] * 2, [place - 0.3, place + 0.3], color=colour)
            else:
                axes.boxplot(
                    [scores],
                    orientation="horizontal",
                    positions=[place],
                    widths=0.6,
                    showfliers=False,
                    manage_ticks=False,
                )
            spread = [place + 0.18 * ((7 * index) % 11 - 5) / 5 for index in range(len(scores))]
            axes.plot(scores, spread, "o", markersize=4, alpha=0.6, color=colour, markeredgewidth=0)
        axes.set_yticks(list(places), list(shown))
        axes.set_ylim(0.4, len(shown) + 0.6)
    axes.set_xlabel(title)
    axes.grid(axis="x", alpha=0.3)
    save_figure(figure, path)


def draw_courses(path: Path, courses: Mapping[str, Mapping[int, float]], title: str) -> None:
    """Validation over the epochs of every training, epoch -> score, the best one marked."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    for (name, course), colour in zip(courses.items(), _colours(len(courses)), strict=True):
        epochs, scores = list(course), list(course.values())
        axes.plot(epochs, scores, color=colour, label=name, marker="." if len(epochs) < 20 else None)
        defined = [(score, -epoch) for epoch, score in course.items() if math.isfinite(score)]
        if defined:
            axes.plot(-max(defined)[1], max(defined)[0], "*", markersize=11, color=colour)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(title)
    axes.grid(alpha=0.3)
    if courses:
        axes.legend(fontsize="small", ncols=2)
    save_figure(figure, path)


def _colours(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]
