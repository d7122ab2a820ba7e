"""Objects as COCO JSON, each with the run lengths of its pixels."""

import json
from pathlib import Path

import numpy as np
from scipy import ndimage

from common.files import write_text
from tools.convert.contours import compress_counts
from tools.formats.saving import About

__all__ = ["write"]


def write(path: Path, labels: np.ndarray, about: About) -> None:
    """Write one image and an annotation for each object, whose ids are the labels."""
    height, width = labels.shape
    boxes = ndimage.find_objects(labels)
    annotations = []
    for label, counts in _run_lengths(labels):
        rows, columns = boxes[label - 1]
        annotations.append(
            {
                "id": label,
                "image_id": 1,
                "category_id": 1,
                "segmentation": {"size": [height, width], "counts": compress_counts(counts, (height, width)).decode()},
                "area": sum(counts[1::2]),
                "bbox": [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
                "iscrowd": 0,
            }
        )
    document = {
        "images": [{"id": 1, "file_name": about.image, "height": height, "width": width}],
        "categories": [{"id": 1, "name": about.kind}],
        "annotations": annotations,
    }
    write_text(path, json.dumps(document))


def _run_lengths(labels: np.ndarray) -> list[tuple[int, list[int]]]:
    """Of every object the lengths of runs down the columns, background first."""
    flat = labels.T.ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    stops, values = np.append(starts[1:], flat.size), flat[starts]
    order = np.argsort(values, kind="stable")
    order = order[values[order] > 0]
    found = []
    for runs in np.split(order, np.flatnonzero(np.diff(values[order])) + 1) if len(order) else []:
        edges = np.stack([starts[runs], stops[runs]], axis=1).ravel()
        counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
        found.append((int(values[runs[0]]), counts))
    return found
