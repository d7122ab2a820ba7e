"""LIVECell in all its forms, and plain COCO, become one dataset; what LIVECell is known for is told or dropped."""

import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from tools.__main__ import VERBS
from tools.command_line import run
from tools.convert.livecell import livecell as convert_livecell
from tools.convert.livecell_flaws import Frame, find_sparse

REAL = Path(__file__).parents[4] / "shared/data/phase_contrast"
LARGE, SMALL = [[2, 2, 30, 2, 30, 30, 2, 30]], [[5, 5, 12, 5, 12, 12]]
OTHER = [[35, 8, 48, 8, 48, 20, 35, 20]]


def drawn(polygons: list) -> np.ndarray:
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, 40, 50))).astype(bool)


def labels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "I;16"
        return np.array(image)


def written(folder: Path) -> dict[str, int]:
    """Modification time of every image and label."""
    return {p.relative_to(folder).as_posix(): p.stat().st_ino for p in folder.rglob("*.*") if p.suffix != ".json"}


@pytest.fixture
def three_splits(put_split):
    """An image per split, val with two."""
    put_split("train", {"A172_Phase_A1.tif": [LARGE, SMALL, OTHER]})
    put_split("val", {"BV2_Phase_B1.tif": [OTHER], "BV2_Phase_B2.tif": [SMALL, OTHER]})
    put_split("test", {"Huh7_Phase_C1.tif": [LARGE]})


def test_images_labels_and_datalist(three_splits, convert_cells, datalist, tmp_path):
    summary = convert_cells(name="cells")
    out = tmp_path / "out"

    def item(stem, **more):
        cell_type = stem.split("_")[0]
        return {"image": f"images/{stem}.tif", "label": f"labels/{stem}.png", "cell_type": cell_type} | more

    assert datalist() == {
        "name": "cells",
        "licence": "CC0",
        "training": [
            item("A172_Phase_A1", fold=1),
            item("BV2_Phase_B1", fold=0),
            item("BV2_Phase_B2", fold=0),
        ],
        "testing": [item("Huh7_Phase_C1")],
    }
    source = tmp_path / "source/images/livecell_test_images/Huh7_Phase_C1.tif"
    assert (out / "images/Huh7_Phase_C1.tif").read_bytes() == source.read_bytes()
    expected = np.zeros((40, 50), int)
    expected[drawn(OTHER)], expected[drawn(LARGE)], expected[drawn(SMALL)] = 3, 1, 2
    np.testing.assert_array_equal(labels_of(out / "labels/A172_Phase_A1.png"), expected)
    assert {key: summary[key] for key in ("images", "objects", "training", "testing", "overlaid")} == {
        "images": 4,
        "objects": 7,
        "training": 3,
        "testing": 1,
        "overlaid": 0,
    }


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_copy_with_one_split_converts_as_far_as_it_goes(put_split, convert_cells, datalist, caplog, split):
    put_split(split, {"a_1.tif": [SMALL]})
    with caplog.at_level(logging.WARNING):
        summary = convert_cells()
    assert (summary["training"], summary["testing"]) == ((0, 1) if split == "test" else (1, 0))
    folds = [item["fold"] for item in datalist()["training"]]
    assert folds == {"train": [1], "val": [0], "test": []}[split]
    assert ("no training item has fold 0" in caplog.text) == (split != "val")


def test_image_without_annotation_is_kept_empty_and_file_without_record_is_told(
    put_split, put, convert_cells, tmp_path
):
    put_split("val", {"a_1.tif": [SMALL], "a_2.tif": []})
    put("images/livecell_train_val_images/a_3.tif", np.zeros((40, 50), np.uint8))
    summary = convert_cells()
    assert (summary["images"], summary["without_objects"], summary["not_annotated"]) == (2, 1, 1)
    assert not labels_of(tmp_path / "out/labels/a_2.png").any()
    assert not (tmp_path / "out/images/a_3.tif").exists()


def test_crowd_lies_beneath_cells(put_split, convert_cells, tmp_path):
    put_split("val", {"a_1.tif": [LARGE, {"segmentation": SMALL, "iscrowd": 1}, OTHER]})
    assert convert_cells()["crowd"] == 1
    labels = labels_of(tmp_path / "out/labels/a_1.png")
    np.testing.assert_array_equal(labels, drawn(LARGE) + 2 * drawn(OTHER).astype(int))  # the crowd is hidden entirely


def test_twins_are_told_and_dropped_by_clean(put_split, convert_cells, tmp_path):
    put_split("val", {"a_1.tif": [LARGE, OTHER, OTHER, SMALL]})
    told = convert_cells()
    assert (told["duplicates"], told["overlaid"], told["dropped_objects"], told["objects"]) == (1, 1, 0, 4)
    before = labels_of(tmp_path / "out/labels/a_1.png")
    assert np.unique(before).tolist() == [0, 1, 2, 3]
    cleaned = convert_cells(clean=True)
    assert (cleaned["duplicates"], cleaned["overlaid"], cleaned["dropped_objects"], cleaned["objects"]) == (1, 0, 1, 3)
    np.testing.assert_array_equal(labels_of(tmp_path / "out/labels/a_1.png"), before)


@pytest.mark.parametrize(("first", "second"), [("test", "train"), ("test", "val"), ("val", "train")])
def test_image_in_two_splits_is_told_and_clean_drops_the_less_protected_copy(
    put_split, convert_cells, datalist, caplog, first, second
):
    put_split(first, {"a_1.tif": [SMALL], "a_2.tif": [SMALL]})
    put_split(second, {"a_1.tif": [LARGE], "a_3.tif": [SMALL]})
    with caplog.at_level(logging.WARNING):
        assert (convert_cells()["in_two_splits"], len({item["image"] for item in sum_items(datalist())})) == (1, 4)
    assert f"({first}) and" in caplog.text and f"({second}) are one image; --clean drops the latter" in caplog.text
    assert convert_cells(clean=True)["dropped_images"] == 1
    kept = sorted(item["image"] for item in sum_items(datalist()))
    assert kept == ["images/a_1.tif", "images/a_2.tif", "images/a_3.tif"]
    (one,) = (item for item in sum_items(datalist()) if "a_1" in item["image"])
    assert one.get("fold") == (None if first == "test" else 0)


def sum_items(document: dict) -> list[dict]:
    return document["training"] + document["testing"]


def test_renamed_copy_in_two_splits_is_found(put_split, convert_cells, tmp_path):
    put_split("test", {"a_1.tif": [SMALL]})
    put_split("val", {"a_2.tif": [SMALL]})
    pixels = tifffile.imread(tmp_path / "source/images/livecell_test_images/a_1.tif")
    path = tmp_path / "source/images/livecell_train_val_images/a_2.tif"
    tifffile.imwrite(path, pixels, photometric="minisblack", compression="zlib")
    assert convert_cells()["in_two_splits"] == 1


def test_nearly_unannotated_images_are_told_and_dropped_by_clean(put_split, convert_cells, datalist):
    many = [[[x, y, x + 3, y, x + 3, y + 3, x, y + 3]] for x in range(0, 40, 4) for y in range(0, 36, 4)]
    few = {"a_3.tif": many[:4], "a_4.tif": many[:5], "b_1.tif": many[:1]}
    put_split("val", few | {"a_1.tif": many, "a_2.tif": many, "a_5.tif": many})
    told = convert_cells()
    assert (told["nearly_unannotated"], told["images"]) == (1, 6)  # 4 of 90 cells; one cell is usual for type b
    assert convert_cells(clean=True)["dropped_images"] == 1
    assert "images/a_3.tif" not in [item["image"] for item in datalist()["training"]]
    assert convert_cells(clean=True, min_share=0.5)["dropped_images"] == 2


@pytest.mark.parametrize(("min_share", "num_sparse"), [(0.4, 1), (0.41, 2), (0.0, 1)])
def test_an_image_with_the_very_share_of_cells_is_not_sparse(min_share, num_sparse):
    """Ten cells are usual; one image has four, one has none."""
    frames = [
        Frame("train", Path(f"{number}.tif"), str(number), "a", b"", (4, 4), [b"cell"] * number, [False] * number)
        for number in (0, 4, 10, 11, 12)
    ]
    assert len(find_sparse(frames, min_share)) == num_sparse


def test_plain_coco_is_dealt_to_folds_by_unit(put, put_text, coco_document, datalist, convert_cells):
    names = [f"well{well}_{time}.png" for well in "ABC" for time in (1, 2)]
    put_text("source/cells.json", json.dumps(coco_document({name: [SMALL] for name in names})))
    for number, name in enumerate(names):
        path = put(f"images/{name}", np.zeros((2, 2), np.uint8))
        Image.fromarray(np.full((40, 50), number, np.uint8)).save(path)
    convert_cells(folds=2, group="(well[A-Z])", test=["wellB"])
    assert [(Path(item["image"]).name, item["fold"]) for item in datalist()["training"]] == [
        ("wellA_1.png", 0),
        ("wellA_2.png", 0),
        ("wellC_1.png", 1),
        ("wellC_2.png", 1),
    ]
    assert [(item["cell_type"], item["group"]) for item in datalist()["testing"]] == [("wellB", "wellB")] * 2
    assert datalist()["unit"] == "group"
    assert convert_cells(test=["all"])["testing"] == 6


def test_scores_of_livecell_count_by_well(put_split, convert_cells, datalist):
    put_split("train", {"A172_Phase_A7_1_00d00h00m_1.tif": [LARGE], "A172_Phase_A7_2_01d00h00m_1.tif": [SMALL]})
    put_split("val", {"BV2_Phase_A7_1_00d00h00m_1.tif": [OTHER]})
    put_split("test", {"other.tif": [LARGE]})
    convert_cells()
    content = datalist()
    groups = [item["group"] for item in content["training"] + content["testing"]]
    assert groups == ["A172_Phase_A7", "A172_Phase_A7", "BV2_Phase_A7", "other"]
    assert content["unit"] == "group"
    convert_cells(group="^(.)")
    assert [item["group"] for item in datalist()["training"]] == ["A", "A", "B"]
    assert [item["fold"] for item in datalist()["training"]] == [1, 1, 0]


def test_image_that_plain_coco_holds_twice_is_told(put, put_text, coco_document, convert_cells, datalist):
    names = ["a_1.tif", "a_2.tif", "a_3.tif"]
    put_text("source/cells.json", json.dumps(coco_document({name: [SMALL] for name in names})))
    for name in names:
        put(name, np.full((40, 50), int(name == "a_3.tif"), np.uint8))
    assert convert_cells(folds=1)["in_two_splits"] == 1
    assert convert_cells(folds=1, clean=True)["dropped_images"] == 1
    assert [item["image"] for item in datalist()["training"]] == ["images/a_1.tif", "images/a_3.tif"]


def test_plain_coco_by_its_file_with_images_elsewhere_and_gray_jpeg(put_text, coco_document, tmp_path, datalist):
    path = put_text("cells.json", json.dumps(coco_document({"one.jpg": [SMALL]})))
    (tmp_path / "elsewhere").mkdir()
    Image.fromarray(np.full((40, 50), 77, np.uint8)).save(tmp_path / "elsewhere/one.jpg")
    for _ in range(2):
        convert_livecell(path, tmp_path / "out", images=tmp_path / "elsewhere")
    (item,) = datalist()["training"]
    assert (item["image"], item["cell_type"]) == ("images/one.png", "unknown")
    with Image.open(tmp_path / "out/images/one.png") as copy, Image.open(tmp_path / "elsewhere/one.jpg") as source:
        assert copy.mode == "L"
        np.testing.assert_array_equal(np.array(copy), np.array(source))


def test_only_what_changed_or_was_cut_is_redone(three_splits, put_split, convert_cells, tmp_path):
    convert_cells()
    before = written(tmp_path / "out")
    for name in ("images/Huh7_Phase_C1.tif", "labels/BV2_Phase_B2.png"):
        path = tmp_path / "out" / name
        path.write_bytes(path.read_bytes()[:-40])
    os.utime(tmp_path / "source/images/livecell_train_val_images/BV2_Phase_B1.tif", (1, 1))
    put_split("train", {"A172_Phase_A1.tif": [LARGE]})
    os.utime(tmp_path / "source/images/livecell_train_val_images/A172_Phase_A1.tif", (1, 1))
    convert_cells()
    after = written(tmp_path / "out")
    assert {name for name in before if before[name] != after[name]} == {
        "images/A172_Phase_A1.tif",
        "images/BV2_Phase_B1.tif",
        "images/Huh7_Phase_C1.tif",
        "labels/A172_Phase_A1.png",
        "labels/BV2_Phase_B2.png",
    }


def test_read_only_source_gives_writable_copies(three_splits, convert_cells, tmp_path):
    source = tmp_path / "source/images/livecell_test_images/Huh7_Phase_C1.tif"
    source.chmod(0o444)
    convert_cells()
    assert (tmp_path / "out/images/Huh7_Phase_C1.tif").stat().st_mode & 0o200


def test_command_line_says_what_was_found(three_splits, tmp_path, capsys):
    words = ["convert", "livecell", str(tmp_path / "source"), str(tmp_path / "out"), "--clean"]
    assert run(VERBS, words) == 0
    assert "dropped_images      0\n" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="no real data here")
def test_real_cells_are_those_of_pycocotools(tmp_path):
    summary = convert_livecell(REAL, tmp_path / "out")
    told = {key: value for key, value in summary.items() if value and key != "dataset"}
    assert told == {"images": 82, "objects": 2177, "training": 66, "testing": 16}
    coco = COCO(REAL / "annotations/livecell_coco_test.json")
    for image in coco.imgs.values():
        masks = [coco.annToMask(annotation).astype(bool) for annotation in coco.imgToAnns[image["id"]]]
        expected = np.zeros((520, 704), int)
        for index in sorted(range(len(masks)), key=lambda i: -masks[i].sum()):
            expected[masks[index]] = index + 1
        stem = Path(image["file_name"]).stem
        np.testing.assert_array_equal(labels_of(tmp_path / f"out/labels/{stem}.png"), expected)


def test_the_folder_of_the_annotations_may_hold_the_dataset(put, put_text, coco_document, tmp_path):
    put("images/a.png", np.zeros((40, 50), np.uint8))
    put_text("source/coco.json", json.dumps(coco_document({"a.png": [LARGE]})))
    for _ in range(2):
        assert convert_livecell(tmp_path / "source", tmp_path / "source", name="cells")["objects"] == 1


@pytest.mark.parametrize(("group", "is_told"), [("", False), ("(Phase)", True)])
def test_groups_in_two_of_the_official_splits_are_told(three_splits, convert_cells, caplog, group, is_told):
    convert_cells(group=group)
    assert ("1 groups are in two splits, such as Phase" in caplog.text) == is_told
