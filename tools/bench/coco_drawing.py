"""Outlines of COCO drawn in two ways, by run lengths and by a loop over `annToMask`, which give the same pixels."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from common.errors import InputError
from tools.bench.in_turns import ratio_row, time_in_turns
from tools.bench.table import Row
from tools.convert.coco import read_coco
from tools.convert.contours import draw_labels, encode_polygons
from tools.convert.livecell_layout import find_splits

__all__ = [
    "AnnotatedImage",
    "compare_drawing",
    "join_by_masks",
    "join_by_runs",
    "label_by_masks",
    "label_by_runs",
    "read_annotated",
]

LABELS_TARGET, UNION_TARGET = 3, 10


@dataclass(frozen=True)
class AnnotatedImage:
    """An image's outlines, as they come out of the JSON.

    Attributes
    ----------
    coco : COCO
        The JSON, as pycocotools holds it.
    name : str
        The image's file name.
    shape : tuple of int
        Height and width in pixels.
    annotations : list of dict
        Its annotations, at least one; all of them polygons.
    order : list of int
        Indices of the annotations from the first to draw to the last: crowd regions, then the larger before the
        smaller, as `draw_labels` has it.
    """

    coco: COCO
    name: str
    shape: tuple[int, int]
    annotations: list[dict]
    order: list[int]


def read_annotated(source: Path) -> list[AnnotatedImage]:
    """Images with annotations of a folder in LIVECell's layout, or of plain COCO.

    Parameters
    ----------
    source : Path
        As for `find_splits`.

    Returns
    -------
    list of AnnotatedImage

    Raises
    ------
    FileNotFoundError, InputError
        As `find_splits` and `read_coco`, or if an object is given by run lengths.
    """
    images = []
    for split in find_splits(source):
        read_coco(split.annotations)  # for its checks
        images += _images_of(split.annotations)
    return images


def label_by_runs(image: AnnotatedImage) -> np.ndarray:
    """Label map of an image as the converter draws it, uint16 (Y, X)."""
    objects = encode_polygons([annotation["segmentation"] for annotation in image.annotations], image.shape)
    return draw_labels(objects, image.shape, beneath=list(map(_is_crowd, image.annotations)))


def label_by_masks(image: AnnotatedImage) -> np.ndarray:
    """The same by a loop over `annToMask`; it is told the order and need not find it."""
    labels = np.zeros(image.shape, np.uint16)
    for index in image.order:
        labels[image.coco.annToMask(image.annotations[index]) > 0] = index + 1
    return labels


def join_by_runs(image: AnnotatedImage) -> np.ndarray:
    """Foreground of an image, bool (Y, X): all polygons encoded at once, merged as run lengths, decoded once."""
    polygons = [polygon for annotation in image.annotations for polygon in annotation["segmentation"]]
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *image.shape))).view(bool)


def join_by_masks(image: AnnotatedImage) -> np.ndarray:
    """The same by a loop over `annToMask`."""
    foreground = np.zeros(image.shape, bool)
    for annotation in image.annotations:
        foreground |= image.coco.annToMask(annotation).view(bool)
    return foreground


def compare_drawing(images: Sequence[AnnotatedImage], *, rounds: int) -> list[Row]:
    """Time of drawing label maps and foregrounds, from the polygons in memory.

    Parameters
    ----------
    images : sequence of AnnotatedImage
        At least one.
    rounds : int
        Times that each image is drawn in each way.

    Returns
    -------
    list of Row

    Raises
    ------
    RuntimeError
        If two ways differ in a pixel.
    """
    for image in images:
        _check_equal(image, "label maps", label_by_runs, label_by_masks)
        _check_equal(image, "foregrounds", join_by_runs, join_by_masks)
    labels = time_in_turns({"ours": label_by_runs, "loop": label_by_masks}, images, rounds=rounds, desc="label maps")
    joined = time_in_turns({"ours": join_by_runs, "loop": join_by_masks}, images, rounds=rounds, desc="foregrounds")
    return [
        ratio_row("drawing label maps: time per image", labels["ours"], labels["loop"], target=LABELS_TARGET),
        ratio_row("drawing foregrounds: time per image", joined["ours"], joined["loop"], target=UNION_TARGET),
    ]


def _images_of(path: Path) -> list[AnnotatedImage]:
    document = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(document["annotations"], dict):  # which pycocotools does not know
        document["annotations"] = [*document["annotations"].values()]
    coco = COCO()
    coco.dataset = document
    coco.createIndex()
    return [_annotated(path, coco, key) for key in coco.imgs if coco.imgToAnns[key]]


def _annotated(path: Path, coco: COCO, key: object) -> AnnotatedImage:
    record, annotations = coco.imgs[key], coco.imgToAnns[key]
    if any(isinstance(annotation["segmentation"], dict) for annotation in annotations):
        raise InputError(f"{path}: run lengths in {record['file_name']}, expected polygons; nothing is left to draw")
    areas = [int(coco_mask.area(coco.annToRLE(annotation))) for annotation in annotations]
    order = sorted(range(len(areas)), key=lambda index: (not _is_crowd(annotations[index]), -areas[index]))
    return AnnotatedImage(coco, record["file_name"], (record["height"], record["width"]), annotations, order)


def _is_crowd(annotation: dict) -> bool:
    return bool(annotation.get("iscrowd"))


def _check_equal(image: AnnotatedImage, what: str, ours: Callable, loop: Callable) -> None:
    num_different = np.count_nonzero(ours(image) != loop(image))
    if num_different:
        raise RuntimeError(f"{image.name}: {what} differ in {num_different} pixels from annToMask's; ours are wrong")
