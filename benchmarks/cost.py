"""What many images cost: straight lines through whole commands of growing number, and what lies off them.

A line has two ends: what a command costs at all, and what each further image costs. Images go through swinunet_livecell
in one process with a thread for each core, and in as many workers as cores with one thread each. The workers' target is
of the slopes, without their start.
"""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.bundles import repeated, tools_command
from benchmarks.harness import Measured, Row, goal, line, run_measured
from tools.bundles import find_bundle
from tools.sample.formats import sample_images

BUNDLE = "swinunet_livecell"


def compare(folder: Path, *, images: str = "10,20,40", workers: int = 2) -> Iterator[list[Row]]:
    """Compare commands of growing size.

    Options: images, numbers with commas between them; workers.
    """
    counts, found = _numbers(images), sample_images(find_bundle(BUNDLE), folder / "made")
    for number in counts:
        repeated(found, number, folder / f"{number}")
    ways: dict[str, list[str]] = {"one process": [], f"{workers} workers": ["--workers", str(workers)]}
    measured: dict[str, list[Measured]] = {way: [] for way in ways}
    for number in counts:
        for way, more in ways.items():
            measured[way].append(_segment(folder / f"{number}", folder / f"{number} {way}", *more))
    rows, slopes = [], []
    for way, results in measured.items():
        row, slope = line(f"{BUNDLE}, {way}", counts, [one.seconds for one in results], "s", "image")
        rows.append(row)
        slopes.append(slope)
    gain = slopes[0] / slopes[1]
    peaks = [one.peak / 2**30 for one in measured["one process"]]
    memory, _ = line(f"{BUNDLE}, peak memory", counts, peaks, "GiB", "image")
    yield [
        *rows,
        Row(f"{workers} workers, images per second", ratio=f"{gain:.2f} x", target=goal(">= 0.9 x", gain >= 0.9)),
        memory,
    ]


def _segment(source: Path, results: Path, *options: str) -> Measured:
    return run_measured(tools_command("segment", BUNDLE, source, results, *options))


def _numbers(text: str) -> list[int]:
    numbers = [int(word) for word in text.split(",") if word.strip().isdecimal()]
    if len(numbers) < 2 or min(numbers) < 1:
        raise ValueError(f"{text}: expected at least two whole numbers with commas between them")
    return numbers
