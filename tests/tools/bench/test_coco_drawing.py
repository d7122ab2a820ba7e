"""Both ways of drawing give the pixels of pycocotools, also where objects overlap; a way that does not is caught."""

from __future__ import annotations

import json

import numpy as np
import pytest

from common.errors import InputError
from tools.bench import coco_drawing as module
from tools.bench.coco_drawing import (
    compare_drawing,
    join_by_masks,
    join_by_runs,
    label_by_masks,
    label_by_runs,
    read_annotated,
)

LARGE = [1, 1, 15, 1, 15, 9, 1, 9]
SMALL = [3.5, 2.2, 7.1, 2.9, 6.4, 6.6]
TWIN = [10, 3, 14, 3, 14, 7, 10, 7]
APART = [2, 11, 5, 11, 5, 13, 2, 13]


@pytest.fixture
def write(tmp_path):
    """Function that writes a plain COCO with one annotated and one empty image, from segmentations."""

    def write_json(segmentations, crowd=(), as_dict=False):
        annotations = [
            {
                "id": number,
                "image_id": 7,
                "category_id": 1,
                "segmentation": segmentation,
                "iscrowd": int(number in crowd),
                "area": 1,
            }
            for number, segmentation in enumerate(segmentations)
        ]
        images = [{"id": key, "file_name": f"{key}.png", "height": 14, "width": 17} for key in (7, 8)]
        document = {
            "images": images,
            "annotations": {str(a["id"]): a for a in annotations} if as_dict else annotations,
            "categories": [{"id": 1, "name": "cell"}],
        }
        (tmp_path / "cells.json").write_text(json.dumps(document))

        return tmp_path

    return write_json


def test_overlapping_objects_get_the_same_pixels_in_both_ways(write):
    (image,) = read_annotated(write([[SMALL], [LARGE], [TWIN, APART], [TWIN, APART]]))
    labels = label_by_runs(image)
    assert image.order == [1, 2, 3, 0] and image.shape == (14, 17)
    assert set(np.unique(labels)) == {0, 1, 2, 4}  # of two equal objects the later one is seen
    np.testing.assert_array_equal(labels, label_by_masks(image))
    np.testing.assert_array_equal(join_by_runs(image), join_by_masks(image))
    np.testing.assert_array_equal(join_by_runs(image), labels > 0)
    assert labels[12, 3] == 4


def test_crowd_regions_lie_beneath(write):
    (image,) = read_annotated(write([[SMALL], [LARGE]], crowd=(0,)))
    assert image.order == [0, 1]
    labels = label_by_runs(image)
    assert not (labels == 1).any()
    np.testing.assert_array_equal(labels, label_by_masks(image))


def test_annotations_keyed_by_id_are_read(write):
    (image,) = read_annotated(write([[SMALL], [LARGE]], as_dict=True))
    assert len(image.annotations) == 2


def test_run_lengths_are_refused(write):
    with pytest.raises(InputError, match=r"cells\.json: run lengths in 7\.png, expected polygons"):
        read_annotated(write([[LARGE], {"size": [14, 17], "counts": [3, 4, 231]}]))


def test_mistakes_of_the_json_are_told(write):
    with pytest.raises(InputError, match="polygon of 2 points, expected at least 3"):
        read_annotated(write([[[1, 2, 3, 4]]]))


def test_rows_tell_targets(write):
    labels, union = compare_drawing(read_annotated(write([[SMALL], [LARGE]])), rounds=2)
    assert labels.what == "drawing label maps: time per image" and labels.target == ">= 3 x"
    assert union.what == "drawing foregrounds: time per image" and union.target == ">= 10 x"
    assert all(
        row.ours.endswith("s") and row.other.endswith("s") and row.met in ("yes", "no") for row in (labels, union)
    )


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("label_by_runs", "label maps"),
        ("label_by_masks", "label maps"),
        ("join_by_runs", "foregrounds"),
        ("join_by_masks", "foregrounds"),
    ],
)
def test_a_pixel_that_differs_stops_the_benchmark(write, monkeypatch, name, what):
    right = getattr(module, name)

    def wrong(image):
        drawn = right(image)
        drawn[0, 0] = 1
        return drawn

    monkeypatch.setattr(module, name, wrong)
    with pytest.raises(RuntimeError, match=rf"7\.png: {what} differ in 1 pixels from annToMask's"):
        compare_drawing(read_annotated(write([[SMALL], [LARGE]])), rounds=1)
