"""Synthetic phase contrast in LIVECell's layout."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tools.command_line import as_verb, at_least
from tools.sample.files import as_tiff, complete_files, tools_command, write_files
from tools.sample.phase_contrast import CELL_TYPES, SHAPE, draw_field

__all__ = ["draw_files", "livecell", "write_images"]

FOLDERS = {"train": "livecell_train_val_images", "val": "livecell_train_val_images", "test": "livecell_test_images"}


@as_verb(destination=Path, seed=at_least(0), num_images=at_least(3))
def livecell(destination: Path, *, seed: int = 0, num_images: int = 12) -> dict[str, object]:
    """Write synthetic phase contrast images with their outlines; the same seed gives the same bytes.

    Parameters
    ----------
    destination : str
        Folder to write images/ and annotations/ to, as LIVECell has them.
    seed : int
        Another number gives other images.
    num_images : int
        Number of images, at least 3; a quarter each goes to val and to test.
    """
    present = [*destination.glob("images/*/[!.]*"), *destination.glob("annotations/[!.]*")]
    complete_files(destination, dict(draw_files(seed=seed, num_images=num_images)), present)
    words = ["convert", "livecell", destination, f"{destination}_dataset", "--name", "synthetic phase contrast"]
    return {"images": num_images, "folder": destination, "next": tools_command(*words)}


def draw_files(*, seed: int = 0, num_images: int = 12) -> Iterator[tuple[str, bytes]]:
    """Draw the dataset, one file, its path and content, at a time.

    An image depends on the seed, its split, its number there and nothing else. A quarter each of the images, but at
    least one, is val and test; cell types take turns.
    """
    held_out = max(1, num_images // 4)
    sizes = {"train": num_images - 2 * held_out, "val": held_out, "test": held_out}
    for part, (split, size) in enumerate(sizes.items()):
        document = {
            "info": {"description": "synthetic phase contrast in LIVECell's layout"},
            "licenses": [{"id": 1, "name": "CC0-1.0"}],
            "images": [],
            "annotations": [],
            "categories": [{"id": 1, "name": "cell", "supercategory": "cell"}],
        }
        for index in range(size):
            cell_type = list(CELL_TYPES)[index % len(CELL_TYPES)]
            well = f"{chr(ord('A') + part)}{index + 1}"
            name = f"{cell_type}_Phase_{well}_1_00d00h00m_1.tif"
            image, outlines = draw_field(np.random.default_rng([seed, part, index]), cell_type)
            _annotate(document, name, outlines)
            yield f"images/{FOLDERS[split]}/{name}", as_tiff(image, photometric="minisblack", metadata=None)
        yield f"annotations/livecell_coco_{split}.json", json.dumps(document).encode()


def write_images(folder: Path) -> list[Path]:
    """Write the images of training and validation of a small sample."""
    return write_files(folder, (file for file in draw_files(num_images=3) if f"/{FOLDERS['train']}/" in file[0]))


def _annotate(document: dict, name: str, outlines: list[np.ndarray]) -> None:
    """Put an image and its outlines into a COCO document."""
    image_id = len(document["images"]) + 1
    document["images"].append(
        {"id": image_id, "width": SHAPE[1], "height": SHAPE[0], "file_name": name, "original_filename": name, "url": ""}
    )
    for outline in outlines:
        (left, top), (right, bottom) = outline.min(axis=0), outline.max(axis=0)
        x, y = outline.T
        document["annotations"].append(
            {
                "id": len(document["annotations"]) + 1,
                "image_id": image_id,
                "category_id": 1,
                "segmentation": [outline.ravel().tolist()],
                "area": round(abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2, 2),
                "bbox": [float(side) for side in np.round((left, top, right - left, bottom - top), 2)],
                "iscrowd": 0,
            }
        )
