"""SEG of the Cell Tracking Challenge: ours against py-ctcmetrics.

Whole processes: python -m tools score (which computes DET too) with one worker; other: ctc_evaluate --seg -n 1; on the
same folders of uncompressed files. Real results lack some labels; without gaps in the labels of both images
py-ctcmetrics takes a shorter way.
"""

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

from benchmarks.harness import Row, run_measured, speed, take_turns

NAMES = ("01_GT/SEG/man_seg", "01_GT/TRA/man_track", "01_RES/mask")


# frames, their shape, objects and their radius in pixels, and how many times faster it should be
CASES = ((5, (59, 350, 640), 60, 20, 10), (20, (700, 1100), 300, 18, 6))


def compare(folder: Path, *, rounds: int = 5, shrink: int = 1) -> Iterator[str | list[Row]]:
    """Options: rounds, times that each is run; shrink, divides the edges of the frames."""
    for gaps, (num_frames, shape, num_objects, radius_px, at_least) in product((True, False), CASES):
        shape, here = tuple(length // shrink for length in shape), folder / f"{len(shape)}D {gaps}"
        labels = draw_frame(shape, num_objects, max(radius_px // shrink, 1), gaps)
        _write(here, num_frames, *labels)
        size = f"{'x'.join(map(str, shape))}, {num_objects} objects, labels with{'' if gaps else 'out'} gaps"
        yield [_processes(here, f"{num_frames} frames of {size}", rounds, at_least)]


def draw_frame(shape: tuple[int, ...], num_objects: int, radius_px: int, gaps: bool) -> tuple[np.ndarray, np.ndarray]:
    """A reference of balls, and a result that is shifted by two pixels and, with gaps, lacks every twentieth."""
    rng, seeds = np.random.default_rng(0), np.zeros(shape, np.uint16)
    seeds.flat[rng.choice(seeds.size, num_objects, replace=False)] = np.arange(1, num_objects + 1)
    distance, nearest = ndimage.distance_transform_edt(seeds == 0, return_indices=True)
    reference = np.where(distance <= radius_px, seeds[tuple(nearest)], 0)
    result = np.roll(reference, 2, axis=-1)
    return reference, np.where(result % 20 == 0, 0, result) if gaps else result


def _write(folder: Path, num_frames: int, reference: np.ndarray, result: np.ndarray) -> None:
    """A sequence as the challenge lays it out; markers are the objects, ctc_evaluate insists on some."""
    for name, labels in zip(NAMES, (reference, reference, result), strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        for number in range(num_frames):
            frame = np.roll(labels, 10 * number, axis=-1)
            tifffile.imwrite(folder / f"{name}{number:03d}.tif", frame, photometric="minisblack")


def _processes(folder: Path, what: str, rounds: int, at_least: float) -> Row:
    truth, results = str(folder / "01_GT"), str(folder / "01_RES")
    commands = {
        "ours": ["-m", "tools", "score", truth, results, "--workers", "1"],
        "theirs": ["-m", "ctc_metrics.scripts.evaluate", "--gt", truth, "--res", results, "--seg", "-n", "1"],
    }
    ways = {way: lambda _, words=words: run_measured([sys.executable, *words]) for way, words in commands.items()}
    seconds, _ = take_turns(ways, [None], rounds=rounds, desc="processes")
    return speed(what, seconds["ours"], seconds["theirs"], at_least)
