"""The best that any network could reach which sees phase contrast squashed to one window, as mode resize shows it.

That is the truth itself after being resized and resized back, at the original size. nearest takes the upper left pixel
and so moves the mask, nearest-exact takes the middle one.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from benchmarks.bundles import open_config, testing_data
from benchmarks.harness import Row, iou


def compare(folder: Path, *, dataset_dir: str = "", num_images: int = 100) -> Iterator[str | list[Row]]:
    """Options: dataset_dir, with labelled images under testing; num_images, at most."""
    items, about = testing_data("swinunet_livecell", dataset_dir, folder, num_images)
    yield about
    size = open_config("swinunet_livecell", mode="resize").get_parsed_content("image_size")
    masks = [np.asarray(Image.open(item["label"])) > 0 for item in items]
    rows = []
    for mode in ("nearest", "nearest-exact"):
        mean = float(np.mean([iou(squash_and_back(mask, size, mode), mask) for mask in masks]))
        what = f"best IoU that is left, truth resized to {' x '.join(map(str, size))} and back, {mode}"
        rows.append(Row(what, "1.0000", f"{mean:.4f}", f"{1 - mean:+.4f}"))
    yield rows


def squash_and_back(mask: np.ndarray, size: Sequence[int], mode: str) -> np.ndarray:
    """A mask, bool (Y, X), after it has been resized and resized back."""
    small = F.interpolate(torch.from_numpy(mask)[None, None].float(), size=tuple(size), mode=mode)
    return F.interpolate(small, size=mask.shape, mode=mode)[0, 0].numpy() > 0
