"""Peak memory of inference on one large image: a volume by devonet_nsn, a slide by crypt_unet.

monai.bundle run in a fresh process, as a user starts it, with all results written: its largest resident set, with
Python and its libraries in it; memory of a GPU is not. The volume has a spacing that has to be resampled.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.bundles import command
from benchmarks.harness import Row, goal, run_measured
from common.tiled_tiff import write_tiled
from tools.convert.nifti import write_volume
from tools.sample.embryo import SPACING_UM
from tools.sample.tissue import PIXEL_SIZE_UM, draw_slide

DRAWN_PX = 2500


def compare(folder: Path, *, volume_size: int = 1024, slide_size: int = 20000) -> Iterator[list[Row]]:
    """Options: volume_size, height and width, with a sixteenth as many slices; slide_size, height and width."""
    shape, volumes, slides = (volume_size // 16, volume_size, volume_size), folder / "volumes", folder / "slides"
    for images in (volumes, slides):
        images.mkdir()
    random = np.random.default_rng(0)
    write_volume(volumes / "large.nii.gz", random.integers(100, 1000, shape, dtype=np.uint16), SPACING_UM)
    yield _rows("devonet_nsn", f"{shape[0]} x {shape[1]} x {shape[2]} uint16", volumes, 8)
    _write_slide(slides / "large.tiff", slide_size)
    yield _rows("crypt_unet", f"{slide_size} x {slide_size} RGB", slides, 4, save_probability=True)


def _rows(bundle: str, what: str, images: Path, most_gib: int, **overrides: object) -> list[Row]:
    results = images.with_name(f"{images.name}_results")
    seconds, peak = run_measured(command(bundle, "inference", dataset_dir=images, output_dir=results, **overrides))
    if not [*results.glob("large_mask.*")]:
        raise ValueError(f"{results}: no mask after inference; see its log")
    gib = peak / 2**30
    return [
        Row(f"{bundle}, {what}: peak memory", f"{gib:.2f} GiB", target=goal(f"< {most_gib} GiB", gib < most_gib)),
        Row(f"{bundle}, {what}: time with start", f"{seconds:.0f} s"),
    ]


def _write_slide(path: Path, size: int) -> None:
    """A smaller slide, repeated while it is written: only a row of its tiles is in memory."""
    drawn, _ = draw_slide(np.random.default_rng(0), min(size, DRAWN_PX), 0)
    columns = np.arange(size) % len(drawn)

    def rows(top: int, bottom: int) -> np.ndarray:
        return drawn[np.arange(top, bottom) % len(drawn)][:, columns]

    write_tiled(path, rows, (size, size, 3), np.uint8, pixel_size_um=PIXEL_SIZE_UM)
