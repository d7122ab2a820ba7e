"""Synthetic phase contrast in LIVECell's layout."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from tools.command_line import as_verb, at_least
from tools.sample.files import as_tiff, complete_files, tools_command, write_files
from tools.sample.phase_contrast import CELL_TYPES, SHAPE, crowded, draw_field

__all__ = ["draw_files", "livecell", "write_images"]

TEXT = "annotations, as text"
MAX_CELLS = 1000
FOLDERS = {"train": "livecell_train_val_images", "val": "livecell_train_val_images", "test": "livecell_test_images"}


@as_verb(destination=Path, seed=at_least(0), num_images=at_least(3), num_cells=at_least(1))
def livecell(
    destination: Path, *, seed: int = 0, num_images: int = 12, num_cells: int | None = None
) -> dict[str, object]:
    """Write synthetic phase contrast images with their outlines; the same seed gives the same bytes.

    Parameters
    ----------
    destination : str
        Folder to write images/ and annotations/ to, as LIVECell has them.
    seed : int
        Another number gives other images.
    num_images : int
        Number of images, at least 3; a quarter each goes to val and to test. LIVECell has 5239.
    num_cells : int
        Cells in each image, smaller the more there are; by default 10 to 110, by their type. LIVECell has about 300.
    """
    present = [*destination.glob("images/*/[!.]*"), *destination.glob("annotations/[!.]*")]
    if num_cells and num_cells > MAX_CELLS:
        raise InputError(f"--num_cells {num_cells}: expected at most {MAX_CELLS}; more have no room in an image")
    draw = partial(draw_files, seed=seed, num_images=num_images, num_cells=num_cells)
    complete_files(destination, draw, present)
    words = ["convert", "livecell", destination, f"{destination}_dataset", "--name", "synthetic phase contrast"]
    return {"images": num_images, "folder": destination, "next": tools_command(*words)}


def draw_files(*, seed: int = 0, num_images: int = 12, num_cells: int | None = None) -> Iterator[tuple[str, bytes]]:
    """Draw the dataset, one file, its path and content, at a time.

    An image depends on the seed, its split, its number there, the number of cells and nothing else. A quarter each of
    the images, but at least one, is val and test; cell types take turns.
    """
    kinds = {name: kind if num_cells is None else crowded(kind, num_cells) for name, kind in CELL_TYPES.items()}
    held_out = max(1, num_images // 4)
    sizes = {"train": num_images - 2 * held_out, "val": held_out, "test": held_out}
    for part, (split, size) in enumerate(sizes.items()):
        document: dict[str, Any] = {
            "info": {"description": "synthetic phase contrast in LIVECell's layout"},
            "licenses": [{"id": 1, "name": "CC0-1.0"}],
            "images": [],
            "annotations": [TEXT],
            "categories": [{"id": 1, "name": "cell", "supercategory": "cell"}],
        }
        annotations: list[str] = []
        for index in range(size):
            cell_type = list(kinds)[index % len(kinds)]
            well = f"{chr(ord('A') + part)}{index + 1}"
            name = f"{cell_type}_Phase_{well}_1_00d00h00m_1.tif"
            image, outlines = draw_field(np.random.default_rng([seed, part, index]), kinds[cell_type])
            document["images"].append(_record(index + 1, name))
            annotations += [
                json.dumps(_annotation(number, index + 1, outline))
                for number, outline in enumerate(outlines, len(annotations) + 1)
            ]
            yield f"images/{FOLDERS[split]}/{name}", as_tiff(image, photometric="minisblack", metadata=None)
        text = json.dumps(document).replace(json.dumps(TEXT), ", ".join(annotations))  # of which there are a million
        yield f"annotations/livecell_coco_{split}.json", text.encode()


def write_images(folder: Path) -> list[Path]:
    """Write the images of training and validation of a small sample."""
    return write_files(folder, (file for file in draw_files(num_images=3) if f"/{FOLDERS['train']}/" in file[0]))


def _record(number: int, name: str) -> dict[str, object]:
    """An image in a COCO document."""
    size = {"width": SHAPE[1], "height": SHAPE[0]}
    return {"id": number, **size, "file_name": name, "original_filename": name, "url": ""}


def _annotation(number: int, image_number: int, outline: np.ndarray) -> dict[str, object]:
    """A cell of an image in a COCO document."""
    (left, top), (right, bottom) = outline.min(axis=0), outline.max(axis=0)
    x, y = outline.T
    return {
        "id": number,
        "image_id": image_number,
        "category_id": 1,
        "segmentation": [outline.ravel().tolist()],
        "area": round(abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2, 2),
        "bbox": [float(side) for side in np.round((left, top, right - left, bottom - top), 2)],
        "iscrowd": 0,
    }
