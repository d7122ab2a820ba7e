"""Points and boxes that name the objects to segment: as a request gives them, and as the table that a bundle reads."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.tables import write_table

__all__ = ["PROMPTS", "parse_prompts", "write_prompts"]

PROMPTS = {"boxes": ("x_min", "y_min", "x_max", "y_max"), "points": ("x", "y")}  # options of a request, in pixels
COLUMNS = ("id", "x", "y", "x_min", "y_min", "x_max", "y_max")


def parse_prompts(name: str, text: str) -> list[list[float]]:
    """Boxes or points of a request.

    Parameters
    ----------
    name : {"boxes", "points"}
    text : str
        JSON: a list of [x_min, y_min, x_max, y_max], or of [x, y], in pixels.

    Returns
    -------
    list of list of float

    Raises
    ------
    InputError
        If it is something else, or an empty list.
    """
    wanted = f"{name}: expected JSON, [[{', '.join(PROMPTS[name])}], ...] in pixels, at least one"
    try:
        values = np.array(json.loads(text), float)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(wanted) from error
    if values.ndim != 2 or values.shape[1] != len(PROMPTS[name]) or not len(values) or not np.isfinite(values).all():
        raise InputError(wanted)
    return values.tolist()


def write_prompts(path: Path, *, points: Sequence[Sequence[float]] = (), boxes: Sequence[Sequence[float]] = ()) -> None:
    """Write a table of points (x, y) and, numbered on, of boxes (x_min, y_min, x_max, y_max), in pixels."""
    rows = [[*point, *["n/a"] * 4] for point in points] + [["n/a", "n/a", *box] for box in boxes]
    numbered = ([number, *row] for number, row in enumerate(rows, start=1))
    write_table(path, COLUMNS, numbered, digits=None, delimiter="\t")
