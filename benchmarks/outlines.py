"""Label maps drawn from outlines: ours by run lengths against a loop over pycocotools' annToMask.

From COCO's polygons in memory, as the converter draws them: the smaller object over the larger, crowds beneath. The
loop is told the order of the objects and need not find it. All pixels are equal, which is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from benchmarks.bundles import spread
from benchmarks.harness import Row, speed, take_turns
from tools.convert.contours import draw_labels, encode_polygons
from tools.convert.livecell_layout import find_splits
from tools.sample.livecell import livecell


def compare(folder: Path, *, source_dir: str = "", num_images: int = 100, rounds: int = 3) -> Iterator[str | list[Row]]:
    """Options: source_dir, in LIVECell's layout or plain COCO, else a synthetic sample; num_images, at most."""
    source = Path(source_dir) if source_dir else folder
    if not source_dir:
        livecell(str(folder))
    images = spread([image for split in find_splits(source) for image in _read(split.annotations)], num_images)
    num_objects = sum(len(image.annotations) for image in images)
    yield f"data: {source_dir or 'synthetic phase contrast'}: n = {len(images)}, {num_objects} objects"
    ways = {"ours": by_runs, "loop": by_masks}
    seconds, labels = take_turns(ways, images, rounds=rounds, desc="images", judge=lambda image, labels: labels)
    if not all(map(np.array_equal, *labels.values())):
        raise RuntimeError("label maps differ from annToMask's; ours are wrong")
    yield [speed("time per label map", seconds["ours"], seconds["loop"], 3)]


def by_runs(image: SimpleNamespace) -> np.ndarray:
    """Label map as the converter draws it, uint16 (Y, X)."""
    objects = encode_polygons([annotation["segmentation"] for annotation in image.annotations], image.shape)
    return draw_labels(objects, image.shape, beneath=[bool(item.get("iscrowd")) for item in image.annotations])


def by_masks(image: SimpleNamespace) -> np.ndarray:
    """The same, by a mask of every object."""
    labels = np.zeros(image.shape, np.uint16)
    for index in image.order:
        labels[image.coco.annToMask(image.annotations[index]) > 0] = index + 1
    return labels


def _read(path: Path) -> Iterator[SimpleNamespace]:
    """Images whose annotations are polygons, and their order from the first to draw to the last."""
    coco = COCO(path)
    for key, record in coco.imgs.items():
        annotations = coco.imgToAnns[key]
        if annotations and not any(isinstance(item["segmentation"], dict) for item in annotations):
            ranks = [(not item.get("iscrowd"), -int(coco_mask.area(coco.annToRLE(item)))) for item in annotations]
            order = sorted(range(len(ranks)), key=ranks.__getitem__)
            shape = (record["height"], record["width"])
            yield SimpleNamespace(coco=coco, shape=shape, annotations=annotations, order=order)
