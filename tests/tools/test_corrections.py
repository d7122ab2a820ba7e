"""Corrected labels become a dataset that grows, and that a bundle is fine-tuned on."""

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from common.datalist import read_dataset
from common.errors import InputError
from common.items import evaluation_items, training_items
from common.reading.images import read_image
from tools.corrections import add_correction, classes_of, correct
from tools.formats.saving import About, write
from tools.segment.description import describe

PICTURES, VOLUMES, CLASSES = describe("swinunet_livecell"), describe("devonet_nsn"), describe("sam_myelin")
LABELS = np.zeros((40, 50), np.uint16)
LABELS[5:15, 5:20], LABELS[20:30, 30:45] = 1, 300


@pytest.fixture
def picture(tmp_path):
    def write(name: str = "cells.png", seed: int = 0):
        path = tmp_path / name
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, LABELS.shape, np.uint8)).save(path)
        return path

    return write


def write_volume(path, voxels):
    image = nib.Nifti1Image(voxels.T, np.diag([-0.8, 0.8, 2.0, 1.0]))
    image.header.set_xyzt_units("micron")
    nib.save(image, path)
    return path


def test_a_picture_and_its_labels_are_an_item_to_train_on(tmp_path, picture):
    add_correction(tmp_path / "kept", PICTURES, picture(), LABELS, "My cells.png")
    ((item,), dataset) = training_items(tmp_path / "kept", "none"), read_dataset(tmp_path / "kept")
    np.testing.assert_array_equal(read_image(item["image"]), read_image(picture()))
    np.testing.assert_array_equal(read_image(item["label"], labels=True), LABELS)
    assert dataset.training[0].name == "images/My_cells.png" and dataset.training[0].fold == 0


def test_labels_of_a_volume_lie_where_the_image_lies(tmp_path):
    voxels = np.zeros((3, 4, 5), np.uint8)
    voxels[1, 2, 3], voxels[0, 0, 0] = 2, 1
    image = write_volume(tmp_path / "a.nii.gz", np.arange(60, dtype=np.uint16).reshape(3, 4, 5))
    item = add_correction(tmp_path / "kept", VOLUMES, image, voxels, "a.nii.gz")
    label = nib.load(item.file("label"))
    np.testing.assert_array_equal(np.asarray(label.dataobj).T, voxels)
    np.testing.assert_allclose(label.affine, nib.load(image).affine)
    assert label.header.get_xyzt_units()[0] == "micron"


def test_the_same_image_again_gets_new_labels_and_another_one_a_new_name(tmp_path, picture):
    for labels, seed in ((LABELS, 0), (LABELS, 1), (np.fliplr(LABELS), 0)):
        add_correction(tmp_path / "kept", PICTURES, picture(seed=seed), labels, "cells.png")
    items = read_dataset(tmp_path / "kept").training
    assert [(item.name, item.fold) for item in items] == [("images/cells.png", 0), ("images/cells_2.png", 1)]
    np.testing.assert_array_equal(read_image(items[0].file("label"), labels=True), np.fliplr(LABELS))


def test_an_image_kept_to_test_on_is_not_trained_on(tmp_path, picture):
    add_correction(tmp_path / "kept", PICTURES, picture(), LABELS, "cells.png")
    add_correction(tmp_path / "kept", PICTURES, picture(), LABELS, "cells.png", test=True)
    assert len(evaluation_items(tmp_path / "kept")) == 1 and read_dataset(tmp_path / "kept").training == ()


def test_parts_of_a_mask_are_objects(tmp_path, picture):
    item = add_correction(tmp_path / "kept", PICTURES, picture(), (LABELS > 0) * np.uint8(255), "cells.png")
    assert set(np.unique(read_image(item.file("label"), labels=True))) == {0, 1, 2}


def test_fibres_are_made_of_the_classes_axon_and_myelin(tmp_path, picture):
    assert classes_of(CLASSES) == ["myelin", "axon"] and len(classes_of(PICTURES)) == len(classes_of(VOLUMES)) == 1
    drawn = (LABELS > 0).astype(np.uint8)
    drawn[8:12, 8:16] = drawn[23:27, 34:40] = 2
    item = add_correction(tmp_path / "kept", CLASSES, picture(), drawn, "a.png")
    kept = {key: read_image(item.file(key), labels=True) for key in ("label", "axon", "myelin")}
    assert [len(np.unique(kept["label"][box])) for box in (np.s_[5:15, 5:20], np.s_[20:30, 30:45])] == [1, 1]
    assert set(np.unique(kept["label"])) == {0, 1, 2}
    np.testing.assert_array_equal(kept["axon"] > 0, drawn == 2)
    np.testing.assert_array_equal(kept["myelin"] > 0, drawn == 1)
    with pytest.raises(InputError, match="a.png: labels up to 300, but classes are learned; draw 1 for myelin, 2 for"):
        add_correction(tmp_path / "kept", CLASSES, picture(), LABELS, "a.png")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[1:], r"labels of shape \(39, 50\), expected \(40, 50\)"),
        (LABELS.astype(float), "labels are float64, expected whole numbers"),
        (LABELS.astype(np.int32) - 1, "expected whole numbers from 0"),
        (np.indices((40, 50)).sum(axis=0) % 7, "its 7 labels lie in .* pieces, as the gray values of a picture do"),
    ],
)
def test_labels_of_something_else_are_refused(tmp_path, picture, labels, message):
    with pytest.raises(InputError, match=message):
        add_correction(tmp_path / "kept", PICTURES, picture(), labels, "cells.png")
    assert not (tmp_path / "kept").exists()


def test_a_dataset_of_something_else_is_refused(tmp_path, picture):
    add_correction(tmp_path / "kept", PICTURES, picture(), LABELS, "cells.png")
    with pytest.raises(InputError, match="not corrections for sam_myelin; choose another folder"):
        add_correction(tmp_path / "kept", CLASSES, picture(), LABELS > 0, "cells.png")


def test_files_are_corrected_on_the_command_line(tmp_path):
    voxels = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    tifffile.imwrite(tmp_path / "raw.tif", voxels, photometric="minisblack")
    tifffile.imwrite(tmp_path / "drawn.tif", (voxels > 50).astype(np.uint8), photometric="minisblack")
    told = correct("nuclei", tmp_path / "raw.tif", tmp_path / "drawn.tif", tmp_path / "kept #1", spacing="2,1,1")
    assert (
        told["labels"] == told["to train on"] == 1
        and "finetune devonet_nsn --dataset_dir" in told["fine-tune"]
        and "finetune devonet_ndn --dataset_dir" in told["and"]
    )
    assert f"'{tmp_path}/kept #1'" in told["fine-tune"]
    (item,) = read_dataset(tmp_path / "kept #1").training
    np.testing.assert_array_equal(read_image(item.file("image")), voxels)
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match=r"notes\.txt: not an image"):
        correct("nuclei", tmp_path / "notes.txt", tmp_path / "drawn.tif", tmp_path / "kept #1", spacing="2,1,1")
    with pytest.raises(InputError, match=r"lost\.tif: no such file; give the corrected labels"):
        correct("nuclei", tmp_path / "raw.tif", tmp_path / "lost.tif", tmp_path / "kept #1", spacing="2,1,1")


def test_an_image_given_as_its_labels_and_a_volume_for_a_picture_are_refused(tmp_path, picture):
    image = picture()
    with pytest.raises(InputError, match=r"cells\.png: its labels are the image itself; give the corrected labels"):
        correct(PICTURES.root.name, image, image, tmp_path / "kept")
    volume = write_volume(tmp_path / "drawn.nii.gz", np.ones((3, *LABELS.shape), np.uint8))
    with pytest.raises(InputError, match=r"drawn\.nii\.gz: a volume, but cells\.png is a picture; give its labels as"):
        correct(PICTURES.root.name, image, volume, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_outlines_are_corrections_too(tmp_path, picture):
    outlines = write(LABELS, tmp_path, "cells", "imagej-roi", About("cells.png", kind="cell"))
    said = correct("swinunet_livecell", str(picture()), str(outlines), str(tmp_path / "kept"))
    assert said["labels"] == 2
    (item,) = training_items(tmp_path / "kept", "none")
    np.testing.assert_array_equal(read_image(item["label"], labels=True) > 0, LABELS > 0)


def test_classes_cannot_be_outlined(tmp_path, picture):
    outlines = write(LABELS, tmp_path, "cells", "geojson", About("cells.png", kind="fibre"))
    with pytest.raises(InputError, match="outlines, but sam_myelin learns myelin and axon; give a picture"):
        correct("sam_myelin", str(picture()), str(outlines), str(tmp_path / "kept"))


def test_what_was_kept_back_stays_so_when_its_labels_are_corrected_again(tmp_path, picture):
    for test in (True, False):
        add_correction(tmp_path / "kept", PICTURES, picture(), LABELS, "cells.png", test=test)
    dataset = read_dataset(tmp_path / "kept")
    assert len(dataset.testing) == 1 and not dataset.training


def test_a_folder_in_the_place_of_the_labels_is_told(tmp_path, picture):
    with pytest.raises(InputError, match="a folder, expected corrected labels; give the image, its labels, then"):
        correct("swinunet_livecell", str(picture()), str(tmp_path), str(tmp_path / "kept"))


def test_a_copy_of_an_image_is_the_image(tmp_path, picture):
    add_correction(tmp_path / "kept", PICTURES, picture(), LABELS, "cells.png")
    item = add_correction(tmp_path / "kept", PICTURES, picture("copy.png"), LABELS, "copy.png", test=True)
    assert item.name == "images/cells.png" and read_dataset(tmp_path / "kept").training == ()


def test_time_points_of_a_file_share_a_fold(tmp_path, picture):
    add_correction(tmp_path / "kept", PICTURES, picture(seed=9), LABELS, "other.png")
    for seed in range(2):
        add_correction(tmp_path / "kept", PICTURES, picture(seed=seed), LABELS, "film.png", group="film")
    items = read_dataset(tmp_path / "kept").training
    groups = ["images/other.png", "film", "film"]
    assert [(item.entry["group"], item.fold) for item in items] == list(zip(groups, (0, 1, 1), strict=True))
