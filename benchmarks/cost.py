"""What many images and large volumes cost: straight lines through whole commands of growing size, and what is off them.

A line has two ends: what a command costs at all, and what each further image or million voxels costs. Images go through
swinunet_livecell in one process with a thread for each core, and in as many workers as cores with one thread each. The
workers' target is of the slopes, without their start. Volumes go through devonet_nsn.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.bundles import repeated, tools_command
from benchmarks.harness import Measured, Row, goal, line, run_measured
from tools.bundles import find_bundle
from tools.convert.nifti import write_volume
from tools.sample.embryo import SPACING_UM
from tools.sample.formats import sample_images

PICTURES, VOLUMES = "swinunet_livecell", "devonet_nsn"


def compare(
    folder: Path, *, images: str = "10,20,40", slices: str = "16,32,64", size: int = 256, workers: int = 2
) -> Iterator[list[Row]]:
    """Compare commands of growing size.

    Options: images and slices, numbers with commas between them; size, height and width of the volumes; workers.
    """
    counts, found = _numbers(images), sample_images(find_bundle(PICTURES), folder / "made")
    for number in counts:
        repeated(found, number, folder / f"{number}")
    ways: dict[str, list[str]] = {"one process": [], f"{workers} workers": ["--workers", str(workers)]}
    measured = {
        way: [_segment(PICTURES, folder / f"{number}", folder / f"{number} {way}", *more) for number in counts]
        for way, more in ways.items()
    }
    rows, slopes = [], []
    for way, results in measured.items():
        row, slope = line(f"{PICTURES}, {way}", counts, [one.seconds for one in results], "s", "image")
        rows.append(row)
        slopes.append(slope)
    gain = slopes[0] / slopes[1]
    peaks = [one.peak / 2**30 for one in measured["one process"]]
    memory, growth = line(f"{PICTURES}, peak memory", counts, peaks, "GiB", "image")
    yield [
        *rows,
        Row(f"{workers} workers, images per second", ratio=f"{gain:.2f} x", target=goal(">= 0.9 x", gain >= 0.9)),
        memory,
        Row("1,000 images more", f"{1000 * growth:+.2f} GiB"),
    ]
    yield _volumes(folder, _numbers(slices), size)


def _volumes(folder: Path, slices: list[int], size: int) -> list[Row]:
    random, voxels, results = np.random.default_rng(0), [], []
    for number in slices:
        path = folder / f"{number}.nii.gz"
        volume = random.integers(100, 1000, (number, size, size), dtype=np.uint16)
        write_volume(path, volume, SPACING_UM)
        voxels.append(volume.size / 1e6)
        results.append(_segment(VOLUMES, path, folder / f"volume {number}"))
    seconds, peaks, _ = zip(*results, strict=True)
    return [
        line(f"{VOLUMES}, {size} x {size}", voxels, seconds, "s", "million voxel")[0],
        line(f"{VOLUMES}, peak memory", voxels, [peak / 2**30 for peak in peaks], "GiB", "million voxel")[0],
    ]


def _segment(bundle: str, source: Path, results: Path, *options: str) -> Measured:
    return run_measured(tools_command("segment", bundle, source, results, *options))


def _numbers(text: str) -> list[int]:
    numbers = [int(word) for word in text.split(",") if word.strip().isdecimal()]
    if len(numbers) < 2 or min(numbers) < 1:
        raise ValueError(f"{text}: expected at least two whole numbers with commas between them")
    return numbers
