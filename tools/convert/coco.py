"""COCO instance JSON: read, checked, every object turned into run lengths at once, so that LIVECell fits in memory."""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from common.errors import InputError
from tools.convert.contours import areas, check_counts, compress_counts, decode_runs, encode_polygons

__all__ = ["Coco", "CocoImage", "read_coco"]

logger = logging.getLogger(__name__)

MAX_OBJECTS = 65535
FAR_PX = 100_000  # a point this far outside is a mistake; drawing would also need memory for the way there
KEPT = ("id", "image_id", "category_id", "iscrowd", "segmentation")


@dataclass
class CocoImage:
    """An image and its objects, as described in a JSON file.

    Attributes
    ----------
    file_name : str
        As written, maybe with folders.
    shape : tuple of int
        Height and width in pixels.
    objects : list of bytes
        COCO's compressed run lengths, in the order of the annotations.
    crowd : list of bool
        Objects that are a region of many.
    """

    file_name: str
    shape: tuple[int, int]
    objects: list[bytes] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)


@dataclass
class Coco:
    """What a JSON file holds: images in its order, and the name of its first licence, or nothing.

    ``num_clipped`` objects reach out of their image; ``num_empty`` have no pixel in it and are left out.
    """

    path: Path
    images: list[CocoImage]
    licence: str = ""
    num_clipped: int = 0
    num_empty: int = 0


def read_coco(path: Path) -> Coco:
    """Read and check a COCO instance JSON; polygons are cut off at the border of the image, with a warning.

    It has images, categories, and annotations as a list or as a dict keyed by id; segmentations are polygons,
    compressed or uncompressed run lengths. All categories count as objects alike.

    InputError if it is no such JSON, annotations, images and categories do not belong together, a polygon has fewer
    than three points, run lengths do not fit, or an image has more than 65535 objects.
    """
    document = _load(path)
    images = _read_images(path, document)
    categories = _read_categories(path, document)
    annotations = document.get("annotations")
    annotations = list(annotations.values()) if isinstance(annotations, dict) else annotations
    if not isinstance(annotations, list) or not annotations:
        found = "no annotations" if annotations is None or annotations == [] else "annotations of another kind"
        raise InputError(
            f"{path}: {found}, expected a list, or a dict keyed by id, with at least one; export them again"
        )
    grouped: dict[object, list[dict]] = {key: [] for key in images}
    for number, annotation in enumerate(annotations):
        grouped[_image_of(path, number, annotation, images, categories)].append(annotation)
    coco = Coco(path, list(images.values()), _licence(document))
    document.clear()  # the polygons go image by image
    annotations.clear()
    for key, image in tqdm(images.items(), desc=path.name, unit="image"):
        _encode(coco, image, grouped.pop(key))
    if coco.num_clipped:
        logger.warning("%s: %d objects reach out of their image and are cut off there", path, coco.num_clipped)
    if coco.num_empty:
        logger.warning("%s: %d objects have no pixel in their image and are left out", path, coco.num_empty)
    return coco


def _load(path: Path) -> dict:
    """The document, its polygons already as arrays: lists of numbers would need many times the memory."""
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"), object_hook=_pack)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file, expected a COCO instance JSON") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{path}: broken JSON at {place} ({error.msg}); export or download it again") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not a readable JSON ({error}); export or download it again") from error
    if not isinstance(document, dict):
        raise InputError(f"{path}: a JSON {type(document).__name__}, expected a COCO object with images, annotations")
    return document


def _pack(record: dict) -> dict:
    """Of an annotation only what is needed, polygons as arrays; anything else as it is."""
    if "segmentation" not in record:
        return record
    record = {key: record[key] for key in KEPT if key in record}
    if isinstance(record["segmentation"], list):
        try:
            record["segmentation"] = [np.array(polygon, float) for polygon in record["segmentation"]]
        except (ValueError, TypeError, OverflowError):
            record["segmentation"] = None
    return record


def _whole(value: object) -> object:
    """An id or a length as an integer, where label tools write it as text or with decimals; anything else as it is."""
    try:
        number = float(value) if isinstance(value, float | str) else value
    except ValueError:
        return value
    return int(number) if isinstance(number, float) and number.is_integer() else value


def _read_images(path: Path, document: dict) -> dict[object, CocoImage]:
    """Images by id."""
    records = document.get("images")
    if not isinstance(records, list) or not records:
        raise InputError(
            f"{path}: no list of images, expected a COCO instance JSON with images, annotations, categories"
        )
    images: dict[object, CocoImage] = {}
    names: set[str] = set()
    for number, record in enumerate(records):
        record = record if isinstance(record, dict) else {}
        key, name = _whole(record.get("id")), record.get("file_name")
        size: tuple[Any, Any] = (_whole(record.get("height")), _whole(record.get("width")))
        if not isinstance(key, int | str) or not isinstance(name, str) or not name.strip():
            raise InputError(f"{path}: image {number + 1} of the list lacks id or file_name; add them")
        if not all(isinstance(side, int) and 0 < side <= FAR_PX for side in size):
            raise InputError(
                f"{path}: image {name}: height {size[0]} and width {size[1]}, expected pixels; correct them"
            )
        if key in images:
            raise InputError(f"{path}: images {images[key].file_name} and {name} have the same id {key}; renumber them")
        name = name.replace("\\", "/")  # as Windows writes folders
        if name in names:
            raise InputError(f"{path}: image {name} is listed twice; keep one record")
        names.add(name)
        images[key] = CocoImage(name, size)
    return images


def _read_categories(path: Path, document: dict) -> set:
    """Ids of the categories."""
    records = document.get("categories")
    if (
        not isinstance(records, list)
        or not records
        or not all(isinstance(r, dict) and isinstance(_whole(r.get("id")), int | str) for r in records)
    ):
        raise InputError(f'{path}: no categories, expected for example [{{"id": 1, "name": "cell"}}]; add them')
    if len(records) > 1:
        logger.info("%s: the objects of all %d categories are taken alike", path, len(records))
    return {_whole(record["id"]) for record in records}


def _image_of(path: Path, number: int, annotation: object, images: Mapping, categories: set) -> object:
    """Id of the image that an annotation belongs to, after a look at the annotation's own parts."""
    if not isinstance(annotation, dict) or "segmentation" not in annotation:
        raise InputError(
            f"{path}: annotation {number + 1} of the list has no segmentation; export instances, not boxes"
        )
    key = _whole(annotation.get("image_id"))
    if not isinstance(key, int | str) or key not in images:
        raise InputError(
            f"{path}: annotation {annotation.get('id', number + 1)} is of image_id {key}, which is not listed in "
            "images; "
            "add the image or remove the annotation"
        )
    category = _whole(annotation.get("category_id"))
    if not isinstance(category, int | str) or category not in categories:
        raise InputError(
            f"{path}: annotation {annotation.get('id', number + 1)} is of category_id {category}, "
            f"expected one of {', '.join(map(str, sorted(categories, key=str)[:9]))}; correct it or add the category"
        )
    return key


def _encode(coco: Coco, image: CocoImage, annotations: list[dict]) -> None:
    """Put the objects of an image into it; count what is clipped and what is empty."""
    if len(annotations) > MAX_OBJECTS:
        found = f"{len(annotations)} objects in {image.file_name}"
        raise InputError(f"{coco.path}: {found}, a 16 bit label image holds {MAX_OBJECTS}; split the image")
    encoded: list[bytes] = [b""] * len(annotations)
    drawn = []
    for index, annotation in enumerate(annotations):
        segmentation = annotation["segmentation"]
        if isinstance(segmentation, dict):
            encoded[index] = _run_lengths(coco.path, image, annotation)
        else:
            coco.num_clipped += _check_polygons(coco.path, image, annotation)
            drawn.append(index)
    polygons = [annotations[index]["segmentation"] for index in drawn]
    for index, counts in zip(drawn, encode_polygons(polygons, image.shape), strict=True):
        encoded[index] = counts
    for counts, annotation, area in zip(encoded, annotations, areas(encoded), strict=True):
        if area:
            image.objects.append(counts)
            image.crowd.append(bool(_whole(annotation.get("iscrowd"))))
        else:
            coco.num_empty += 1


def _check_polygons(path: Path, image: CocoImage, annotation: dict) -> bool:
    """Whether an object's polygons reach out of the image; InputError if they are none."""
    where = f"{path}: annotation {annotation.get('id')} of {image.file_name}"
    polygons = annotation["segmentation"]
    if not isinstance(polygons, list) or not polygons or any(polygon.ndim != 1 for polygon in polygons):
        raise InputError(
            f"{where}: neither a list of polygons [[x0, y0, x1, y1, ...]] nor run lengths; export it again"
        )
    outside = False
    for polygon in polygons:
        if polygon.size % 2:
            raise InputError(f"{where}: polygon of {polygon.size} numbers, expected pairs of x and y; correct it")
        if polygon.size < 6:
            raise InputError(f"{where}: polygon of {polygon.size // 2} points, expected at least 3; remove it")
        low, high = float(polygon.min()), float(polygon.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise InputError(f"{where}: a point of the polygon is not a finite number; correct it")
        if low < -FAR_PX or high > 2 * FAR_PX:
            raise InputError(f"{where}: polygon from {low:g} to {high:g}, far outside the image; expected pixels")
        if low < 0 or high > min(image.shape):  # seldom: so the closer look costs nothing
            outside |= low < 0 or polygon[0::2].max() > image.shape[1] or polygon[1::2].max() > image.shape[0]
    return outside


def _run_lengths(path: Path, image: CocoImage, annotation: dict) -> bytes:
    """Run lengths of an object, compressed, if they fit its image."""
    where = f"{path}: annotation {annotation.get('id')} of {image.file_name}"
    segmentation = annotation["segmentation"]
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != list(image.shape):
        raise InputError(
            f"{where}: run lengths for size {size}, expected {list(image.shape)} (height, width) as the image"
        )
    if isinstance(counts, str):
        compressed = counts.encode("ascii", "replace")
    elif isinstance(counts, list) and all(type(count) is int and 0 <= count < 2**31 for count in counts):
        if sum(counts) != image.shape[0] * image.shape[1]:
            found = f"run lengths of {sum(counts)} pixels, expected {image.shape[0] * image.shape[1]}"
            raise InputError(f"{where}: {found} ({image.shape[0]} x {image.shape[1]}); export it again")
        compressed = compress_counts(counts, image.shape)
    else:
        raise InputError(f"{where}: counts are neither a text nor whole numbers from 0; export it again")
    fault = check_counts(compressed, image.shape)
    if fault:
        raise InputError(f"{where}: {fault}; export it again")
    return compress_counts(_canonical(compressed, image.shape), image.shape)  # equal pixels, equal bytes


def _canonical(compressed: bytes, shape: tuple[int, int]) -> list[int]:
    """Run lengths with no empty run but maybe the first, as pycocotools has them."""
    starts, stops, _ = decode_runs([compressed])
    joined = starts[1:] == stops[:-1]
    starts, stops = starts[np.append(True, ~joined)[: len(starts)]], stops[np.append(~joined, True)[: len(stops)]]
    edges = np.concatenate([[0], np.column_stack([starts, stops]).ravel(), [shape[0] * shape[1]]])
    counts = np.diff(edges).tolist()
    return counts if counts[-1] else counts[:-1]


def _licence(document: dict) -> str:
    """Name of the first licence."""
    records = document.get("licenses")
    first = records[0] if isinstance(records, list) and records else None
    return str(first.get("name", "")) if isinstance(first, dict) else ""
