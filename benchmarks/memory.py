"""Peak memory on one large image: a volume by devonet_nsn, as a whole and in blocks; a slide by crypt_unet.

`tools segment` in a fresh process, as a user starts it, with all results written: its largest resident set, with Python
and its libraries in it; memory of a GPU is not. The volume has a spacing that has to be resampled. limit: the address
space (ulimit -v) in GiB that both ways get once more, if it is given: the whole volume should not fit into it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.bundles import tools_command
from benchmarks.harness import Row, as_time, goal, run_measured
from common.tiled_tiff import write_tiled
from tools.convert.nifti import write_volume
from tools.sample.embryo import SPACING_UM
from tools.sample.tissue import PIXEL_SIZE_UM, draw_slide

DRAWN_PX = 2500
WHOLE_GB = 1e6  # more than any machine has


def compare(
    folder: Path, *, volume_size: int = 1024, slide_size: int = 20000, memory: str = "1.5", limit: str = ""
) -> Iterator[list[Row]]:
    """Compare an image as a whole with the same in blocks.

    Options: volume_size, height and width, with a sixteenth as many slices; slide_size, height and width; memory, in
    GB, that blocks are chosen for; limit, in GiB.
    """
    shape, volume, slide = (volume_size // 16, volume_size, volume_size), folder / "volume.nii", folder / "slide.tiff"
    write_volume(volume, np.random.default_rng(0).integers(100, 1000, shape, dtype=np.uint16), SPACING_UM)
    ways = {"in blocks": memory, "as a whole": f"{WHOLE_GB}"}
    results = {way: run_measured(_command(volume, folder / way, gb)) for way, gb in ways.items()}
    (seconds, peak, _), (seconds_whole, peak_whole, _) = results.values()
    what, ratio, gib = (
        f"devonet_nsn, {' x '.join(map(str, shape))} uint16, in blocks; whole",
        seconds / seconds_whole,
        2**30,
    )
    yield [
        Row(f"{what}: peak memory", f"{peak / gib:.2f} GiB", f"{peak_whole / gib:.2f} GiB",
            f"{peak / peak_whole:.2f} x", goal("< 2.5 GiB", peak < 2.5 * gib)),
        Row(f"{what}: time with start", as_time(seconds), as_time(seconds_whole), f"{ratio:.2f} x",
            goal("<= 1.3 x", ratio <= 1.3)),
    ]  # fmt: skip
    if limit:
        yield [_limited(_command(volume, folder / f"{way}, limited", gb), limit, way) for way, gb in ways.items()]
    if slide_size:
        write_slide(slide, slide_size)
        seconds, peak, _ = run_measured(tools_command("segment", "crypt_unet", slide, folder / "slides"))
        what = f"crypt_unet, {slide_size} x {slide_size} RGB"
        yield [
            Row(f"{what}: peak memory", f"{peak / gib:.2f} GiB", target=goal("< 4 GiB", peak < 4 * gib)),
            Row(f"{what}: time with start", as_time(seconds)),
        ]


def _command(volume: Path, results: Path, memory: str) -> list[str]:
    return tools_command("segment", "devonet_nsn", volume, results, "--memory", memory)


def _limited(command: list[str], limit: str, way: str) -> Row:
    """Whether a command ends well in an address space of so many GiB."""
    kib = int(float(limit) * 2**20)
    try:
        _, peak, _ = run_measured(["bash", "-c", f'ulimit -v {kib}; exec "$@"', "bash", *command])
    except ValueError:
        return Row(f"{way} under ulimit -v {kib}", "does not fit")
    return Row(f"{way} under ulimit -v {kib}", f"{peak / 2**30:.2f} GiB")


def write_slide(path: Path, size: int) -> None:
    """A smaller slide, repeated while it is written: only a row of its tiles is in memory."""
    drawn, _ = draw_slide(np.random.default_rng(0), min(size, DRAWN_PX), 0)
    columns = np.arange(size) % len(drawn)

    def rows(top: int, bottom: int) -> np.ndarray:
        return drawn[np.arange(top, bottom) % len(drawn)][:, columns]

    write_tiled(path, rows, (size, size, 3), np.uint8, pixel_size_um=PIXEL_SIZE_UM)
