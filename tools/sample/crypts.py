"""Synthetic slides with crypts as TIFF files and run lengths."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common.labels.run_lengths import encode_rle
from tools.command_line import as_verb, at_least
from tools.sample.files import as_tiff, complete_files, tools_command, write_files
from tools.sample.tissue import PIXEL_SIZE_UM, STYLES, draw_slide

__all__ = ["crypts", "draw_files", "write_images"]

CSV_NAME = "masks.csv"
IMAGE_PX, MAGNIFIED = 768, 2  # crypts as large as in real slides


@as_verb(destination=Path, seed=at_least(0), num_slides=at_least(1), size=at_least(256))
def crypts(destination: Path, *, seed: int = 0, num_slides: int = 4, size: int = 1024) -> dict[str, object]:
    """Write synthetic slides as slide_01.tiff, ... and masks.csv; the same seed gives the same bytes.

    Parameters
    ----------
    destination : str
        Folder to write to.
    seed : int
        Another number gives other slides.
    num_slides : int
        Number of slides; the second half has another stain, the last of several is meant for testing.
    size : int
        Height and width of each in pixels, at least 256.
    """
    present = [path for path in destination.glob("[!.]*") if path.suffix in (".tiff", ".csv")]
    complete_files(destination, partial(draw_files, seed=seed, num_slides=num_slides, size=size), present)
    words = ["convert", "crypts", destination, f"{destination}_dataset", "--name", "synthetic crypts"]
    if num_slides > 1:
        words += ["--test", f"slide_{num_slides:02d}", "--folds", num_slides - 1]
    return {"slides": num_slides, "folder": destination, "next": tools_command(*words)}


def draw_files(*, seed: int = 0, num_slides: int = 4, size: int = 1024) -> Iterator[tuple[str, bytes]]:
    """Draw the dataset, one file, its name and content, at a time.

    A slide's tissue does not depend on how many others there are, only its stain does: the second half of the slides,
    rounded down, has the second one. ``size`` is the height and width of each in pixels.
    """
    rows = ["id,rle\n"]
    for index in range(num_slides):
        name, style = f"slide_{index + 1:02d}", int(index >= num_slides - num_slides // len(STYLES))
        image, mask = draw_slide(np.random.default_rng([seed, index]), size, style)
        rows.append(f"{name},{encode_rle(mask)}\n")
        yield f"{name}.tiff", _tiff(image, PIXEL_SIZE_UM)
    yield CSV_NAME, "".join(rows).encode()


def write_images(folder: Path) -> list[Path]:
    """Write two small slides that resemble real ones: in the second stain, and magnified."""
    return write_files(folder, _draw_images())


def _draw_images() -> Iterator[tuple[str, bytes]]:
    for index in (2, 3):
        pixels, _ = draw_slide(np.random.default_rng([0, index]), IMAGE_PX, style=1)
        magnified = np.asarray(Image.fromarray(pixels).resize([side * MAGNIFIED for side in pixels.shape[:2]]))
        yield f"slide_{index + 1:02d}.tiff", _tiff(magnified)


def _tiff(image: np.ndarray, pixel_size_um: float | None = None) -> bytes:
    """A slide as the bytes of a tiled, deflated TIFF file, which knows the size of its pixels if that is given."""
    known: dict[str, Any] = {}
    if pixel_size_um:
        known = {"resolution": (1e4 / pixel_size_um,) * 2, "resolutionunit": "CENTIMETER"}
    return as_tiff(image, photometric="rgb", tile=(256, 256), predictor=True, metadata=None, **known)
