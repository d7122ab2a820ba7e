"""What 10,000 slides or 1,000 light-sheet volumes cost on 1, 10 and 100 workers, from small ones and Dask's pace.

Seconds of one: what processors worked (user and system) for whole commands on growing images, with one thread, and a
straight line through them. Blocks see voxels several times, but compute windows that they share once, so those of a
volume count once. Pace: what Dask's scheduler and our way of asking it take for a job of nothing. Simulated: every
worker takes the next job, and the scheduler hands out one after the other; checked against Dask itself with jobs that
sleep. A worker is one process with one thread.
"""

import heapq
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.bundles import tools_command
from benchmarks.harness import Row, as_time, line, run_measured
from benchmarks.memory import write_slide
from tools.convert.nifti import write_volume
from tools.formats.label_zarr import write_parts
from tools.formats.saving import About
from tools.sample.embryo import SPACING_UM
from tools.segment.blocks.plan import Cutting, plan_blocks
from tools.segment.description import describe
from tools.segment.sources import Source
from tools.spreading import open_cluster

SLIDE_PX, VOLUME = 20000, (512, 2048, 2048)
WORKERS, BYTES = (1, 10, 100), {"slide": 3, "volume": 2}
SPREAD = 0.3  # of the lengths of jobs in the simulation, as a part of their mean
MEMORY_GB = 4.0


def compare(
    folder: Path, *, slides: str = "1000,2000,4000", slices: str = "8,16,32", size: int = 256, workers: int = 10,
    jobs: int = 20,
) -> Iterator[list[Row]]:  # fmt: skip
    """Compare numbers of workers.

    Options: slides, sides in pixels, and slices, with commas between them; size, height and width of the volumes;
    workers that sleep, and jobs for each of them.
    """
    slide, slope = _slides(folder, [int(side) for side in slides.split(",")])
    volume, per_million = _volumes(folder, [int(number) for number in slices.split(",")], size)
    blocks, seen = _blocks(folder)
    yield [slide, volume, Row(f"{' x '.join(map(str, VOLUME))} voxels, --memory {MEMORY_GB:g}", f"{blocks} blocks",
                              ratio=f"{seen:.2f} times the voxels")]  # fmt: skip
    pace = _asked(workers, jobs * workers, 0.0) / (jobs * workers)
    length = 20 * pace * workers
    measured, expected = _asked(workers, jobs * workers, length), makespan([length] * jobs * workers, workers, pace)
    yield [
        Row("Dask's pace, a job of nothing", as_time(pace)),
        Row(f"{workers} workers, {jobs * workers} jobs of {as_time(length)}: simulated; Dask", as_time(expected),
            as_time(measured), f"{measured / expected:.2f} x"),
    ]  # fmt: skip
    one_slide, one_block = slope * SLIDE_PX**2 / 1e6, per_million * np.prod(VOLUME) / 1e6 / blocks
    yield _hours("slides", 10_000, one_slide, pace, BYTES["slide"] * SLIDE_PX**2)
    yield _hours("blocks of 1,000 volumes", 1000 * blocks, one_block, pace, BYTES["volume"] * np.prod(VOLUME) / blocks)


def makespan(lengths: Sequence[float], workers: int, pace: float) -> float:
    """Seconds until the last job is done, where a job is handed out every ``pace`` seconds at most."""
    free, handed = [0.0] * workers, 0.0
    for length in lengths:
        handed = max(handed, heapq.heappop(free)) + pace
        heapq.heappush(free, handed + length)
    return max(free)


def _hours(what: str, number: int, seconds: float, pace: float, size: float) -> list[Row]:
    """Hours that jobs of this mean length take; a few are much longer than the others."""
    spread = np.random.default_rng(0).gamma(1 / SPREAD**2, SPREAD**2, number)
    lengths, rows = (seconds * spread).tolist(), []
    for workers in WORKERS:
        taken = makespan(lengths, workers, pace)
        busy = sum(lengths) / workers / taken
        read = workers * size / seconds / 1e6
        rows.append(
            Row(f"{number:,} {what} of {as_time(seconds)}, {workers} workers", f"{taken / 3600:.1f} h",
                ratio=f"{busy:.1%} busy, {read:.0f} MB/s read")
        )  # fmt: skip
    return [*rows, Row(f"{what}: workers that Dask keeps busy", f"{seconds / pace:,.0f} at most")]


def _slides(folder: Path, sides: Sequence[int]) -> tuple[Row, float]:
    pixels, seconds = [side**2 / 1e6 for side in sides], []
    for side in sides:
        write_slide(folder / f"{side}.tiff", side)
        seconds.append(_worked("crypt_unet", folder / f"{side}.tiff", folder / f"slide {side}"))
    return line("crypt_unet, slides", pixels, seconds, "s", "megapixel")


def _volumes(folder: Path, slices: Sequence[int], size: int) -> tuple[Row, float]:
    voxels, seconds = [number * size**2 / 1e6 for number in slices], []
    for number in slices:
        volume = np.random.default_rng(0).integers(100, 1000, (number, size, size), dtype=np.uint16)
        write_volume(folder / f"{number}.nii", volume, SPACING_UM)
        seconds.append(_worked("devonet_nsn", folder / f"{number}.nii", folder / f"volume {number}"))
    return line("devonet_nsn, volumes", voxels, seconds, "s", "million voxel")


def _worked(bundle: str, image: Path, results: Path) -> float:
    command = ["env", "OMP_NUM_THREADS=1", *tools_command("segment", bundle, image, results)]
    return run_measured(command).worked


def _blocks(folder: Path) -> tuple[int, float]:
    """Blocks of a large volume, and how many times its voxels they see: as it is planned, of a store without pixels."""
    store = folder / "large.ome.zarr"
    write_parts(store, VOLUME, np.dtype(np.uint16), [], About("large", SPACING_UM, "nucleus"))
    plan = plan_blocks(
        describe("devonet_nsn"), Source(store, "large"), folder / "planned", {}, Cutting(memory=MEMORY_GB * 1e9)
    )
    if plan is None:
        raise RuntimeError(f"{store}: is not cut")
    seen = sum(np.prod([stop - start for start, stop in block.region]) for block in plan.blocks)
    return len(plan.blocks), float(seen / np.prod(VOLUME))


def _asked(workers: int, number: int, length: float) -> float:
    """Seconds that Dask takes for jobs that sleep."""
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0", silence_logs=50
        ) as cluster,
        open_cluster(scheduler=cluster.scheduler_address) as spread,
    ):
        for _ in spread(time.sleep, [0.0] * workers):  # until all of them are there
            pass
        started = time.perf_counter()
        failed = [error for _, error in spread(time.sleep, [length] * number) if error is not None]
        taken = time.perf_counter() - started
    if failed:
        raise RuntimeError(f"a job that sleeps failed: {failed[0]}")
    return taken
