"""Bland and Altman's picture: the difference of two measurements over their mean."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

__all__ = ["draw_agreement", "nice_step"]

WIDTH, HEIGHT = 440, 340  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 34, 42  # of its margins
DOT = 1.5  # radius
INK, GRID, DOTS, LINE = (40, 40, 40), (225, 225, 225), (60, 110, 180), (200, 30, 60)
TICKS = 5  # about so many

Panel = tuple[str, np.ndarray, np.ndarray, tuple[float, float, float, int]]


def nice_step(span: float) -> float:
    """Distance of ticks, 1, 2 or 5 times a power of ten, of which some five fit into a span."""
    rough = span / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


def draw_agreement(panels: Sequence[Panel]) -> np.ndarray:
    """Panels beside each other, one per quantity.

    Parameters
    ----------
    panels : sequence of (title, found, truth, agreement)
        Two measurements of the same objects, and bias, lower and upper limit, and number of pairs; not finite ones are
        not drawn.

    Returns
    -------
    ndarray of uint8, shape (Y, X, 3)
        White, with a dot per pair, a line at the bias, dashed ones at the limits.
    """
    picture = Image.new("RGB", (WIDTH * len(panels), HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    for place, panel in enumerate(panels):
        _draw_panel(draw, place * WIDTH, *panel)
    return np.asarray(picture)


def _draw_panel(
    draw: ImageDraw.ImageDraw,
    left: int,
    title: str,
    found: np.ndarray,
    truth: np.ndarray,
    agreement: tuple[float, float, float, int],
) -> None:
    bias, lower, upper, number = agreement
    mean, difference = (found + truth) / 2, found - truth
    across = _limits(mean)
    along = _limits(np.append(difference, [value for value in (0.0, lower, upper) if math.isfinite(value)]))
    box = left + LEFT, TOP, left + WIDTH - RIGHT, HEIGHT - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            box[0] + (x - across[0]) / (across[1] - across[0]) * (box[2] - box[0]),
            box[3] - (y - along[0]) / (along[1] - along[0]) * (box[3] - box[1]),
        )

    for x in _ticks(*across):
        column = place(x, along[0])[0]
        draw.line((column, box[1], column, box[3]), GRID)
        draw.text((column, box[3] + 4), f"{x:g}", INK, anchor="ma")
    for y in _ticks(*along):
        row = place(across[0], y)[1]
        draw.line((box[0], row, box[2], row), GRID)
        draw.text((box[0] - 5, row), f"{y:g}", INK, anchor="rm")
    for x, y in zip(mean, difference, strict=True):
        column, row = place(float(x), float(y))
        draw.ellipse((column - DOT, row - DOT, column + DOT, row + DOT), DOTS)
    for value, dash in ((bias, 0), (lower, 6), (upper, 6)):
        if math.isfinite(value):
            _draw_level(draw, box, place(across[0], value)[1], dash)
    draw.rectangle(box, outline=INK)
    told = f"bias {bias:+.3f}, 95 % between {lower:+.3f} and {upper:+.3f}" if number > 1 else "too few"
    draw.text((left + LEFT, 6), f"{title}: result - truth, n = {number}", INK)
    draw.text((left + LEFT, 19), told, LINE)
    draw.text(((box[0] + box[2]) / 2, HEIGHT - 18), f"{title}: mean of result and truth", INK, anchor="ma")


def _draw_level(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], row: float, dash: int) -> None:
    """A line across the panel, in dashes unless they have no length."""
    starts = range(box[0], box[2], 2 * dash) if dash else [box[0]]
    for start in starts:
        draw.line((start, row, min(start + dash, box[2]) if dash else box[2], row), LINE)


def _limits(values: np.ndarray) -> tuple[float, float]:
    """The range of values, and a little more on both sides."""
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    step = nice_step(high - low)
    return [round(number * step, 10) for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
