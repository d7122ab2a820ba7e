"""Files that went wrong for others: each is converted as a viewer shows it, or refused in words."""

import json
import logging
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from common.errors import InputError
from common.reading.pictures import read_gray, read_labels
from tools.convert.crypts import crypts as convert_crypts
from tools.convert.livecell import livecell as convert_livecell
from tools.convert.myelin import myelin as convert_myelin
from tools.convert.stacks import tiff as convert_stacks

CASES = Path(__file__).parents[2] / "cases" / "files"
SPACING = (2.0, 0.8, 0.8)


def converted_stack(name: str, destination: Path) -> np.ndarray:
    convert_stacks(CASES / name, destination, spacing=SPACING)
    (path,) = (destination / "images").iterdir()
    return np.asarray(nib.load(path).dataobj).T


def test_two_stage_positions_are_two_volumes(tmp_path):
    convert_stacks(CASES / "two_positions.ome.tif", tmp_path, spacing=SPACING)
    volumes = [np.asarray(nib.load(path).dataobj).T for path in sorted((tmp_path / "images").iterdir())]
    assert [volume.shape[0] for volume in volumes] == [6, 6]
    np.testing.assert_array_equal(
        np.concatenate(volumes), tifffile.imread(CASES / "two_positions.ome.tif", key=slice(None))
    )


def test_white_for_zero_keeps_what_is_bright_bright(tmp_path):
    volume = converted_stack("volume_miniswhite.tif", tmp_path)
    stored = tifffile.imread(CASES / "volume_miniswhite.tif")
    np.testing.assert_array_equal(volume, 65535 - stored.astype(int))
    assert volume.shape == (6, 24, 20) and np.median(volume) < volume.max() / 2


def test_stack_of_one_bit_becomes_numbers(tmp_path):
    volume = converted_stack("boolean_stack.tif", tmp_path)
    assert volume.dtype == np.uint8
    np.testing.assert_array_equal(volume, tifffile.imread(CASES / "boolean_stack.tif"))


@pytest.mark.parametrize(("name", "spacing"), [("microns.tif", (2.0, 0.8, 0.8)), ("zunit.tif", (20.0, 0.8, 0.8))])
def test_spacing_that_the_file_tells_is_understood(tmp_path, caplog, name, spacing):
    converted_stack(name, tmp_path)
    says = [message.split(": ")[1] for message in caplog.messages if "by the file, using" in message]
    assert says == (
        [] if spacing == SPACING else [f"its spacing is {spacing} um (Z, Y, X) by the file, using {SPACING}"]
    )


def crypts_of(tmp_path: Path, name: str, **options) -> np.ndarray:
    shutil.copytree(CASES / name, tmp_path / "source")
    convert_crypts(tmp_path / "source", tmp_path / "out", **options)
    return tifffile.imread(tmp_path / "out" / "labels" / "a.tiff")


def test_white_mask_is_what_is_white_in_a_viewer(tmp_path):
    assert np.count_nonzero(crypts_of(tmp_path, "slide_white_mask")) == 600


def test_only_annotations_of_crypts_are_crypts(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert np.count_nonzero(crypts_of(tmp_path, "geojson_classes")) == 600
    assert [message.split(": ")[1] for message in caplog.messages if "left out" in message] == [
        "1 annotations of the class Tissue left out, they are no crypts",
        "1 annotations of the class Ignore* left out, they are no crypts",
    ]


@pytest.mark.parametrize("name", ["ome_mask_beside", "ome_mask_own"])
def test_mask_of_an_ome_tiff_is_found_by_its_name(tmp_path, name):
    masks = CASES / f"{name}_masks"
    labels = crypts_of(tmp_path, name, **({"masks": masks} if masks.exists() else {}))
    assert labels.shape == (64, 80) and labels.any() and not labels.all()


def test_bids_names_of_ome_tiff(tmp_path):
    convert_myelin(CASES / "bids_ome_tif", tmp_path / "out")
    dataset = json.loads((tmp_path / "out" / "dataset.json").read_text())
    (item,) = dataset["training"] + dataset["testing"]
    stored = tifffile.imread(next((CASES / "bids_ome_tif").glob("sub-01/micr/*.ome.tif")))
    np.testing.assert_array_equal(read_gray(tmp_path / "out" / item["image"]), stored)
    assert item["image"] == "sub-01/micr/sub-01_sample-A_SEM.tif"
    assert np.asarray(Image.open(tmp_path / "out" / item["label"])).max() > 0


@pytest.mark.parametrize("name", ["coco_white", "coco_thumb", "coco_planar"])
def test_converter_and_bundle_read_the_same_image(tmp_path, name):
    convert_livecell(CASES / name / "coco.json", tmp_path / "out", images=CASES / name / "images")
    dataset = json.loads((tmp_path / "out" / "dataset.json").read_text())
    (item,) = dataset["training"] + dataset["testing"]
    with tifffile.TiffFile(CASES / name / "images" / "a.tif") as tiff:
        stored = tiff.pages[0].asarray()
    expected = {"coco_white": 255 - stored, "coco_thumb": stored, "coco_planar": stored[0]}[name]
    np.testing.assert_array_equal(read_gray(tmp_path / "out" / item["image"]), expected)
    assert np.count_nonzero(read_labels(tmp_path / "out" / item["label"])) == 400


def test_coco_of_windows_and_label_tools(tmp_path):
    document = json.loads((CASES / "coco_thumb" / "coco.json").read_text())
    document["images"][0] |= {"id": "1", "file_name": "sub\\a.tif", "height": "60", "width": 80.0}
    document["annotations"][0] |= {"image_id": 1.0, "category_id": "1", "iscrowd": "0"}
    (tmp_path / "coco.json").write_text(json.dumps(document), encoding="utf-8-sig")
    (tmp_path / "images" / "sub").mkdir(parents=True)
    shutil.copy(CASES / "coco_thumb" / "images" / "a.tif", tmp_path / "images" / "sub")
    found = convert_livecell(tmp_path / "coco.json", tmp_path / "out")
    assert (found["images"], found["objects"], found["crowd"]) == (1, 1, 0)


@pytest.mark.parametrize("segmentation", [None, [], [[]], "none"])
def test_box_without_polygon_is_named(tmp_path, segmentation):
    document = json.loads((CASES / "coco_thumb" / "coco.json").read_text())
    box = {**document["annotations"][0], "id": 7, "bbox": [5, 5, 10, 8], "segmentation": segmentation}
    if segmentation == "none":
        del box["segmentation"]
    document["annotations"].append(box)
    (tmp_path / "coco.json").write_text(json.dumps(document))
    shutil.copytree(CASES / "coco_thumb" / "images", tmp_path / "images")
    with pytest.raises(InputError, match=r"coco.json: annotation (7 of a.tif|2 of the list)"):
        convert_livecell(tmp_path / "coco.json", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_coco_is_told_in_words(tmp_path):
    path = CASES.parent / "damaged" / "coco.json"
    with pytest.raises(InputError, match=r"coco.json: annotation 3 of A172_Phase_1.tif: run lengths of 1024 pixels"):
        convert_livecell(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
