"""Ways that take turns on the same things, their ratio with its spread, memory of a child, and the table of it all."""

import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

__all__ = [
    *("Measured", "Row", "as_markdown", "as_text", "as_time", "goal", "iou", "line", "run_measured", "speed"),
    "take_turns",
]

# Linux counts what a process held before exec, so a child of a large process seems large itself: a small one measures
_MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
open(sys.argv[1], "w").write(f"{used.ru_maxrss} {used.ru_utime + used.ru_stime}")
sys.exit(code)
"""


@dataclass(frozen=True)
class Row:
    """One measurement; empty where a column does not apply."""

    what: str
    ours: str = ""
    other: str = ""
    ratio: str = ""
    target: str = ""


class Measured(NamedTuple):
    """A command: seconds by the clock, largest resident set in bytes, seconds that processors worked for it."""

    seconds: float
    peak: int
    worked: float


def take_turns(
    ways: Mapping[str, Callable], items: Sequence, *, rounds: int, desc: str, judge: Callable | None = None
) -> tuple[dict[str, np.ndarray], dict[str, list]]:
    """Do the same to the same things in several ways; from turn to turn another way is first.

    Parameters
    ----------
    ways : mapping of str to callable
        What is done to an item, by name. Each gets the first item once before the clock runs.
    items : sequence
        At least one.
    rounds : int
        Times that each item is done in each way.
    desc : str
        Name of the progress bar.
    judge : callable, optional
        From an item and a way's result to a score; called in the first round, beside the clock.

    Returns
    -------
    seconds : dict of str to ndarray, shape (rounds, items)
        Time of every way.
    scores : dict of str to list
        What the judge made of every way's results, item by item; empty without one.
    """
    names, seconds = [*ways], {way: np.zeros((rounds, len(items))) for way in ways}
    scores: dict[str, list] = {way: [] for way in ways}
    for function in ways.values():
        function(items[0])
    for turn, (number, index) in enumerate(tqdm([*np.ndindex(rounds, len(items))], desc=desc, unit="turn")):
        first = turn % len(names)
        for way in names[first:] + names[:first]:
            started = time.perf_counter()
            result = ways[way](items[index])
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[way][number, index] = time.perf_counter() - started
            if judge is not None and number == 0:
                scores[way].append(judge(items[index], result))
    return seconds, scores


def speed(what: str, ours: np.ndarray | float, other: np.ndarray | float, at_least: float | None = None) -> Row:
    """Row of two ways' seconds of every turn: their medians, and the ratio within a turn with its spread.

    The ratio is the median, in brackets stands what the middle 90 % of several turns gave; ``at_least`` is how many
    times faster ours should be.
    """
    low, ratio, high = np.percentile(np.divide(other, ours), (5, 50, 95))
    target = "" if at_least is None else goal(f">= {at_least:g} x", ratio >= at_least)
    word = "faster"
    if ratio < 1:
        low, ratio, high, word = 1 / high, 1 / ratio, 1 / low, "slower"
    spread = f" ({low:.2f} to {high:.2f})" if np.size(ours) > 1 else ""
    times = (as_time(float(np.median(seconds))) for seconds in (ours, other))
    return Row(what, *times, f"{ratio:.2f} x {word}{spread}", target)


def iou(mask: np.ndarray, reference: np.ndarray) -> float:
    """Intersection over union of two masks; 1 where both are empty."""
    union = np.count_nonzero(mask | reference)
    return np.count_nonzero(mask & reference) / union if union else 1.0


def goal(text: str, reached: bool) -> str:
    """What should be reached, and whether it was."""
    return f"{text}: {'reached' if reached else 'missed'}"


def run_measured(command: Sequence[str]) -> Measured:
    """Run a command, whose output goes to stderr; ValueError if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "peak")
        started = time.perf_counter()
        code = subprocess.call([sys.executable, "-c", _MEASURE, report, *command], stdout=2)
        seconds = time.perf_counter() - started
        if code != 0:
            raise ValueError(f"{shlex.join(command)}: ended with {code}; its last lines say why")
        peak, worked = report.read_text().split()
        return Measured(seconds, int(peak) * (1 if sys.platform == "darwin" else 1024), float(worked))


def as_text(rows: Sequence[Row] | Sequence[Mapping[str, str]]) -> str:
    """Aligned columns under a line of headings, which are the keys where a row is a mapping."""
    lines = _cells(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def as_markdown(rows: Sequence[Row] | Sequence[Mapping[str, str]]) -> str:
    """The same, for a page."""
    headings, *lines = _cells(rows)
    return "\n".join(
        f"| {' | '.join(cell.replace('|', '/') for cell in line)} |"
        for line in (headings, ["---"] * len(headings), *lines)
    )


def _cells(rows: Sequence[Row] | Sequence[Mapping[str, str]]) -> list[list[str]]:
    tables = [asdict(row) if isinstance(row, Row) else row for row in rows]
    return [[*tables[0]], *([*table.values()] for table in tables)]


def line(what: str, counts: Sequence[float], values: Sequence[float], unit: str, of: str) -> tuple[Row, float]:
    """Row of what something costs: a straight line through measurements, and how far off it they lie; and its slope."""
    slope, start = np.polyfit(counts, values, 1)
    off = max(abs(start + slope * count - value) for count, value in zip(counts, values, strict=True))
    measured = ", ".join(f"{value:.3g}" for value in values)
    told = f"{start:.3g} {unit} + {slope:.3g} {unit} per {of}, at most {off:.2g} {unit} off"
    return Row(f"{what}: {', '.join(f'{count:g}' for count in counts)} {of}s", f"{measured} {unit}", ratio=told), slope


def as_time(seconds: float) -> str:
    """Seconds, or milliseconds where they are less than one."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"
