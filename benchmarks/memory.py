"""Peak memory on one large image: a volume by devonet_nsn, in blocks and as a whole; a slide by crypt_unet.

`tools segment` in a fresh process, as a user starts it, with all results written: its largest resident set, with Python
and its libraries in it; memory of a GPU is not. The volume is an OME-Zarr whose spacing has to be resampled. limit: the
address space (ulimit -v) in GiB that both ways get once more, if it is given: the whole volume should not fit into it.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.bundles import tools_command
from benchmarks.harness import Row, as_time, goal, run_measured
from common.tiled_tiff import write_tiled
from tools.convert.spacing import parse_spacing
from tools.formats.label_zarr import write_parts
from tools.formats.saving import About
from tools.formats.scenes import Spacing
from tools.sample.embryo import SPACING_UM
from tools.sample.tissue import PIXEL_SIZE_UM, draw_slide

DRAWN_PX, CHUNK = 2500, (32, 256, 256)
WHOLE_GB = "1000000"  # more than any machine has


def compare(
    folder: Path, *, ways: str = "blocks,whole,slide", slices: int = 64, size: int = 1024, slide_size: int = 20000,
    memory: str = "1.5", limit: str = "", spacing: str = "",
) -> Iterator[list[Row]]:  # fmt: skip
    """Compare an image as a whole with the same in blocks.

    Options: ways, some of blocks, whole and slide; slices and size, height and width, of the volume; slide_size, height
    and width; memory, in GB, that blocks are chosen for; limit, in GiB; spacing, of the volume's voxels in micrometres
    as Z,Y,X, by default that of BBBC050's test embryos.
    """
    shape, volume = (slices, size, size), folder / "volume.ome.zarr"
    chosen = {way: gb for way, gb in {"blocks": memory, "whole": WHOLE_GB}.items() if way in ways.split(",")}
    if chosen:
        write_volume(volume, shape, parse_spacing(spacing) if spacing else SPACING_UM)
    results = {way: run_measured(_command(volume, folder / way, gb)) for way, gb in chosen.items()}
    what = f"devonet_nsn, {' x '.join(map(str, shape))} uint16{f', voxels of {spacing} um' if spacing else ''}"
    for way, found in results.items():
        yield [_peak(f"{what}, {way}", found.peak, 4), Row(f"{what}, {way}: with start", as_time(found.seconds))]
    if len(results) == 2:
        ratio = results["blocks"].seconds / results["whole"].seconds
        yield [
            Row(f"{what}, blocks against whole: time", ratio=f"{ratio:.2f} x", target=goal("<= 1.3 x", ratio <= 1.3))
        ]
    if limit:
        yield [_limited(_command(volume, folder / f"{way}, limited", gb), limit, way) for way, gb in chosen.items()]
    if "slide" in ways.split(","):
        write_slide(folder / "slide.tiff", slide_size)
        found = run_measured(tools_command("segment", "crypt_unet", folder / "slide.tiff", folder / "slides"))
        what = f"crypt_unet, {slide_size} x {slide_size} RGB"
        yield [_peak(what, found.peak, 4), Row(f"{what}: with start", as_time(found.seconds))]


def _peak(what: str, peak: int, most_gib: float) -> Row:
    gib = peak / 2**30
    return Row(f"{what}: peak memory", f"{gib:.2f} GiB", target=goal(f"< {most_gib:g} GiB", gib < most_gib))


def _command(volume: Path, results: Path, memory: str) -> list[str]:
    return tools_command("segment", "devonet_nsn", volume, results, "--memory", memory)


def _limited(command: list[str], limit: str, way: str) -> Row:
    """Whether a command ends well in an address space of so many GiB."""
    kib = int(float(limit) * 2**20)
    try:
        peak = run_measured(["bash", "-c", f'ulimit -v {kib}; exec "$@"', "bash", *command]).peak
    except ValueError:
        return Row(f"{way} under ulimit -v {kib}", "does not fit")
    return Row(f"{way} under ulimit -v {kib}", f"{peak / 2**30:.2f} GiB")


def write_volume(path: Path, shape: tuple[int, ...], spacing: Spacing) -> None:
    """Noise as OME-Zarr; only a chunk of it is in memory."""
    random = np.random.default_rng(0)
    places = (
        tuple(slice(at * step, min((at + 1) * step, side)) for at, step, side in zip(index, CHUNK, shape, strict=True))
        for index in np.ndindex(*(-(-side // step) for side, step in zip(shape, CHUNK, strict=True)))
    )
    parts = (
        (place, random.integers(100, 1000, [side.stop - side.start for side in place], dtype=np.uint16))
        for place in places
    )
    chunks = tuple(min(pair) for pair in zip(CHUNK, shape, strict=True))
    write_parts(path, shape, np.dtype(np.uint16), parts, About(path.name, spacing, "nucleus"), chunks=chunks)


def write_slide(path: Path, size: int) -> None:
    """A smaller slide, repeated while it is written: only a row of its tiles is in memory."""
    drawn, _ = draw_slide(np.random.default_rng(0), min(size, DRAWN_PX), 0)
    columns = np.arange(size) % len(drawn)

    def rows(top: int, bottom: int) -> np.ndarray:
        return drawn[np.arange(top, bottom) % len(drawn)][:, columns]

    write_tiled(path, rows, (size, size, 3), np.uint8, pixel_size_um=PIXEL_SIZE_UM)
