"""A COCO JSON is read in every form that it comes in, and refused in one line where it is wrong."""

import json
import logging

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from common.errors import InputError
from tools.convert.coco import read_coco
from tools.convert.contours import draw_labels

SHAPE = (40, 50)
TRIANGLE = [[5, 5, 25, 5, 5, 20]]
MASK = np.zeros(SHAPE, bool)
MASK[8:20, 30:44] = True


def compressed(mask: np.ndarray) -> dict:
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode()}


def uncompressed(mask: np.ndarray) -> dict:
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat]))).tolist()
    return {"size": list(mask.shape), "counts": np.diff([0, *edges, flat.size]).tolist()}


@pytest.fixture
def read(put_text, coco_document):
    """Function that reads one image with the given annotations, or the given document."""

    def run(*annotations, **changes):
        text = json.dumps(coco_document({"a_1.tif": list(annotations)}) | changes)
        return read_coco(put_text("cells.json", text))

    return run


def test_polygons_and_both_kinds_of_run_lengths(read):
    coco = read(TRIANGLE, {"segmentation": compressed(MASK)}, {"segmentation": uncompressed(MASK), "iscrowd": 1})
    (image,) = coco.images
    assert (image.file_name, image.shape, image.crowd, coco.licence) == ("a_1.tif", SHAPE, [False, False, True], "CC0")
    rle = coco_mask.merge(coco_mask.frPyObjects(TRIANGLE, *SHAPE))
    for counts, mask in zip(image.objects, [coco_mask.decode(rle), MASK, MASK], strict=True):
        np.testing.assert_array_equal(draw_labels([counts], SHAPE), mask)
    assert image.objects[1] == image.objects[2] == compressed(MASK)["counts"].encode()


def test_empty_runs_do_not_hide_a_twin(read):
    counts = uncompressed(MASK)["counts"]
    split = [*counts[:1], 3, 0, counts[1] - 3, *counts[2:], 0, 0]
    (image,) = read({"segmentation": compressed(MASK)}, {"segmentation": {"size": list(SHAPE), "counts": split}}).images
    assert image.objects[0] == image.objects[1]


def test_annotations_as_a_dict_keyed_by_id(put_text, coco_document):
    document = coco_document({"a.tif": [TRIANGLE], "b.tif": []})
    as_list = read_coco(put_text("list.json", json.dumps(document)))
    document["annotations"] = {str(a["id"]): a for a in document["annotations"]}
    as_dict = read_coco(put_text("dict.json", json.dumps(document)))
    assert as_list.images == as_dict.images
    assert [len(image.objects) for image in as_dict.images] == [1, 0]


def test_polygon_that_reaches_out_is_cut_off_with_a_warning(read, caplog):
    with caplog.at_level(logging.WARNING):
        coco = read([[-8, 3, 20, 3, 20, 60, -8, 60]], [[60, 60, 70, 60, 70, 70]], TRIANGLE)
    labels = draw_labels(coco.images[0].objects[:1], SHAPE)
    assert labels[3:, :20].all() and labels.sum() == 37 * 20
    assert (coco.num_clipped, coco.num_empty, len(coco.images[0].objects)) == (2, 1, 2)
    assert "2 objects reach out of their image and are cut off" in caplog.text
    assert "1 objects have no pixel in their image and are left out" in caplog.text


def test_polygon_right_at_the_border_is_inside(read):
    assert read([[0, 0, 50, 0, 50, 40, 0, 40]]).num_clipped == 0


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ([[1, 1, 5, 5]], "annotation 1 of a_1.tif: polygon of 2 points, expected at least 3; remove it"),
        ([TRIANGLE[0], [1, 1]], "polygon of 1 points, expected at least 3"),
        ([[1, 1, 5, 5, 9]], "polygon of 5 numbers, expected pairs of x and y"),
        ([], "neither a list of polygons .* nor run lengths"),
        ([1, 1, 5, 1, 5, 5], "neither a list of polygons"),
        ("polygon", "neither a list of polygons"),
        ([["a", "b", 1, 2, 3, 4]], "neither a list of polygons"),
        ([[1, 1, float("nan"), 5, 5, 5]], "not a finite number"),
        ([[1, 1, 1e9, 5, 5, 5]], "polygon from 1 to 1e\\+09, far outside the image"),
        (
            {"segmentation": {"size": [50, 40], "counts": [2000]}},
            r"size \[50, 40\], expected \[40, 50\] \(height, width",
        ),
        (
            {"segmentation": {"size": [40, 50], "counts": [5, 6]}},
            r"run lengths of 11 pixels, expected 2000 \(40 x 50\)",
        ),
        ({"segmentation": {"size": [40, 50], "counts": [2001, -1]}}, "counts are neither a text nor whole numbers"),
        ({"segmentation": {"size": [40, 50], "counts": "no run length"}}, "no compressed run lengths"),
        ({"segmentation": {"size": [40, 50], "counts": "ooooooooooo0"}}, "beyond 32 bit"),
        ({"segmentation": {"size": [40, 50], "counts": "5"}}, "run lengths of 5 pixels, expected 2000"),
        ({"segmentation": {"counts": "5"}}, "run lengths for size None"),
        (
            {"segmentation": TRIANGLE, "category_id": 7},
            "annotation 1 is of category_id 7, expected one of 1; correct it",
        ),
        ({"segmentation": TRIANGLE, "category_id": None}, "category_id None"),
        ({"segmentation": TRIANGLE, "image_id": 9}, "annotation 1 is of image_id 9, which is not listed in images"),
    ],
)
def test_annotation_that_does_not_fit(read, annotation, reason):
    with pytest.raises(InputError, match=f"cells.json: .*{reason}"):
        read(annotation)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"annotations": []}, "no annotations, expected a list, or a dict keyed by id"),
        ({"annotations": {}}, "annotations"),
        ({"annotations": "none"}, "annotations of another kind"),
        ({"annotations": [{"id": 1, "image_id": 1, "bbox": [1, 2, 3, 4]}]}, "annotation 1 .* has no segmentation"),
        ({"annotations": [7]}, "annotation 1 of the list has no segmentation"),
        ({"categories": []}, "no categories, expected for example"),
        ({"images": []}, "no list of images"),
        ({"images": [{"id": 1}]}, "image 1 of the list lacks id or file_name"),
        ({"images": [{"id": 1, "file_name": "a", "height": 0, "width": 5}]}, "image a: height 0 and width 5"),
        ({"images": [{"id": 1, "file_name": n, "height": 4, "width": 5} for n in "ab"]}, "a and b have the same id 1"),
        ({"images": [{"id": i, "file_name": "a", "height": 4, "width": 5} for i in (1, 2)]}, "image a is listed twice"),
    ],
)
def test_document_that_does_not_fit(read, changes, reason):
    with pytest.raises(InputError, match=f"cells.json: .*{reason}"):
        read(TRIANGLE, **changes)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"images": [\n  {"id": 1,}\n]}', "broken JSON at line 2, column 1[12] "),
        (b"", "broken JSON at line 1, column 1 "),
        (b"[1]", "a JSON list, expected a COCO object"),
        (b"[" * 100_000, "not a readable JSON|broken JSON"),
        (b"\xff\xfe\x00", "cells.json: not a readable JSON"),
    ],
)
def test_text_that_is_no_coco(tmp_path, content, reason):
    (tmp_path / "cells.json").write_bytes(content)
    with pytest.raises(InputError, match=reason):
        read_coco(tmp_path / "cells.json")


def test_more_objects_than_a_label_image_holds(read, monkeypatch):
    monkeypatch.setattr("tools.convert.coco.MAX_OBJECTS", 2)
    with pytest.raises(InputError, match="3 objects in a_1.tif, a 16 bit label image holds 2; split the image"):
        read(TRIANGLE, TRIANGLE, TRIANGLE)
