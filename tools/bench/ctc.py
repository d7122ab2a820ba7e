"""Speed of ``score`` against py-ctcmetrics, on drawn frames: whole processes, and function against function."""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
import tifffile
from fire.decorators import SetParseFns

from common.errors import InputError
from common.labels.seg import count_overlaps, match, seg
from tools.bench.child import run_measured
from tools.bench.table import Row, as_text
from tools.command_line import reject, whole_number

__all__ = ["ctc", "draw_frame", "functions", "processes"]


@dataclass(frozen=True)
class Case:
    """Frames to draw, the share of pixels that objects would fill if none overlapped, and the ratios to reach.

    Real results lack some labels. Without gaps in the labels of both images py-ctcmetrics takes a shorter way.
    """

    num_frames: int
    shape: tuple[int, ...]
    num_objects: int
    filled: float
    process_target: float
    function_target: float
    gaps: bool = True

    def __str__(self) -> str:
        size = "x".join(map(str, self.shape))
        return f"{size}, {self.num_objects} objects{'' if self.gaps else ', labels without gaps'}"


NUM_CALLS = 3  # of a function, in a row
WITH_GAPS = (Case(5, (59, 350, 640), 60, 0.15, 6, 8), Case(20, (700, 1100), 300, 0.4, 6, 30))
CASES = WITH_GAPS + tuple(replace(case, gaps=False) for case in WITH_GAPS)


@SetParseFns(rounds=str)
def ctc(*extra, rounds: str = "5", **unknown) -> str:
    """Print how many times faster SEG is computed here than by py-ctcmetrics, measured in turns.

    Whole processes: score (which computes DET too) with one worker, ctc_evaluate --seg -n 1, on the same folders of
    uncompressed files. Functions: seg and ctc_metrics.utils.representations.match, on the same arrays in memory.

    Parameters
    ----------
    rounds : int
        Times that each is run, after one that is not counted.
    """
    reject(unknown, ctc, extra)
    rounds = whole_number("rounds", rounds, minimum=1)
    if importlib.util.find_spec("ctc_metrics") is None:
        raise InputError(
            "py-ctcmetrics is not installed, and there is nothing to compare with; pip install py-ctcmetrics"
        )
    rows = []
    for case in CASES:
        with tempfile.TemporaryDirectory(prefix="bench-ctc-") as folder:
            _write_frames(Path(folder), case)
            rows += [processes(Path(folder), case, rounds=rounds), *functions(Path(folder), case, rounds=rounds)]
    return as_text(rows)


def processes(folder: Path, case: Case, *, rounds: int) -> Row:
    """Time of the two programs from start to end, on ``01_GT`` and ``01_RES`` in ``folder``."""
    truth, results = str(folder / "01_GT"), str(folder / "01_RES")
    ours = [sys.executable, "-m", "tools", "score", truth, results, "--workers", "1"]
    theirs = [sys.executable, "-m", "ctc_metrics.scripts.evaluate", "--gt", truth, "--res", results, "--seg", "-n", "1"]
    seconds = [[run_measured(command)[0] for command in (ours, theirs)] for _ in range(rounds + 1)][1:]
    what = f"whole process, {case.num_frames} frames of {case}"
    return _row(what, seconds, case.process_target)


def functions(folder: Path, case: Case, *, rounds: int) -> list[Row]:
    """Time of the two functions on the first frame in ``folder``, and how far their SEG is apart."""
    from ctc_metrics.utils.representations import match as their_match

    paths = [folder / "01_GT" / "SEG" / "man_seg000.tif", folder / "01_RES" / "mask000.tif"]
    arrays = {str(path): tifffile.imread(path) for path in paths}
    seconds = []
    for _ in range(rounds + 1):
        copies = [{path: labels.copy() for path, labels in arrays.items()} for _ in range(NUM_CALLS)]
        started = time.perf_counter()
        for copy in copies:  # theirs changes what it has read
            with mock.patch("tifffile.imread", copy.__getitem__):
                *_, their_ious = their_match(*arrays)
        half_time = time.perf_counter()
        for _ in range(NUM_CALLS):
            our_seg = seg(*arrays.values())
        seconds.append([(time.perf_counter() - half_time) / NUM_CALLS, (half_time - started) / NUM_CALLS])
    num_objects = len(match(count_overlaps(*arrays.values())).labels)
    difference = abs(our_seg - sum(their_ious) / num_objects)
    return [
        _row(f"function, one frame of {case}", seconds[1:], case.function_target),
        Row("function: difference of SEG", f"{difference:.0e}", target="< 1e-12", met=_yes(difference < 1e-12)),
    ]


def draw_frame(rng: np.random.Generator, case: Case) -> tuple[np.ndarray, np.ndarray]:
    """A reference of ellipsoids, and a result that is shifted by two pixels and, with gaps, lacks every twentieth.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the places.
    case : Case
        Shape and number of objects.

    Returns
    -------
    reference, result : ndarray of uint16, the case's shape
    """
    reference = np.zeros(case.shape, np.uint16)
    ball = np.pi / 4 if len(case.shape) == 2 else np.pi / 6
    diameter = (case.filled * reference.size / case.num_objects / ball) ** (1 / len(case.shape))
    radii = [int(min(diameter, length // 2) / 2) for length in case.shape]
    grid = np.ogrid[tuple(slice(-radius, radius + 1) for radius in radii)]
    inside = sum((axis / (radius + 0.5)) ** 2 for axis, radius in zip(grid, radii, strict=True)) <= 1
    for label in range(1, case.num_objects + 1):
        corner = [rng.integers(0, size - 2 * radius) for size, radius in zip(case.shape, radii, strict=True)]
        box = tuple(slice(start, start + 2 * radius + 1) for start, radius in zip(corner, radii, strict=True))
        reference[box][inside] = label
    reference = np.unique(reference, return_inverse=True)[1].reshape(case.shape).astype(np.uint16)
    result = np.roll(reference, 2, axis=-1)
    return reference, np.where(result % 20 == 0, 0, result).astype(np.uint16) if case.gaps else result


def _write_frames(folder: Path, case: Case) -> None:
    """A sequence as the challenge lays it out; markers are the objects, ctc_evaluate insists on some."""
    names = ("01_GT/SEG/man_seg", "01_GT/TRA/man_track", "01_RES/mask")
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number in range(case.num_frames):
        reference, result = draw_frame(rng, case)
        for name, labels in zip(names, (reference, reference, result), strict=True):
            tifffile.imwrite(folder / f"{name}{number:03d}.tif", labels, photometric="minisblack")


def _row(what: str, seconds: list[list[float]], target: float) -> Row:
    """Medians of ours and theirs, and of their ratio within a round."""
    ours, theirs = (statistics.median(column) for column in zip(*seconds, strict=True))
    ratio = statistics.median(theirs / ours for ours, theirs in seconds)
    return Row(what, _time(ours), _time(theirs), f"{ratio:.1f} x faster", f">= {target:g} x", _yes(ratio >= target))


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{1e3 * seconds:.2f} ms"


def _yes(met: bool) -> str:
    return "yes" if met else "no"
