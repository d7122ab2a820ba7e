"""Every kind of bad image, folder or option ends in one clear message, before the first file is written."""

import json

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.tools.formats.raw_files import WRITERS, drawn
from tools.convert.livecell import livecell as convert_livecell

CELL = [[5, 5, 12, 5, 12, 12]]
FOLDER = "images/livecell_train_val_images"

COLOURS = np.stack([np.zeros((40, 50), "u1")] * 2 + [np.full((40, 50), 9, "u1")], axis=-1)


@pytest.fixture
def refuses(refusal, convert_cells):
    """Function that converts and expects an error."""
    return refusal(convert_cells)


@pytest.fixture
def good(put_split):
    """Split val with the images a_1.tif and a_2.tif."""
    put_split("val", {"a_1.tif": [CELL], "a_2.tif": [CELL]})


def test_images_that_do_not_exist(tmp_path, good):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder, expected the images"):
        convert_livecell(tmp_path / "source", tmp_path / "out", images=tmp_path / "nowhere")


def test_folder_of_images_is_missing(put_text, coco_document, refuses):
    put_text("source/annotations/livecell_coco_test.json", json.dumps(coco_document({"a.tif": [CELL]})))
    refuses("livecell_test_images: no such folder, expected the images of livecell_coco_test.json", FileNotFoundError)


def test_folder_without_a_json(put, refuses):
    put(f"{FOLDER}/a.tif", np.zeros((40, 50), np.uint8))
    refuses("source: no annotations, expected annotations/livecell_coco_{train,val,test}.json")


def test_two_json_files_to_choose_from(put_text, refuses):
    put_text("source/a.json", "{}")
    put_text("source/b.json", "{}")
    refuses(r"source: 2 JSON files \(a.json, b.json\), expected one")


def test_image_that_is_missing(good, refuses, tmp_path):
    for name in ("a_1.tif", "a_2.tif"):
        (tmp_path / "source" / FOLDER / name).unlink()
    refuses(r"livecell_coco_val.json: image a_1.tif \(and 1 more\) is not in .*livecell_train_val_images, expected")


def test_two_files_of_one_name_in_two_folders(good, put, refuses):
    put(f"{FOLDER}/A172/a_1.tif", np.zeros((40, 50), np.uint8))
    refuses("a_1.tif: same file name as .*a_1.tif; remove or rename one of them")


def test_two_endings_of_one_name(put_split, refuses):
    put_split("val", {"a_1.tif": [CELL], "a_1.tiff": [CELL]})
    refuses("a_1.tiff: its results would have the same name as those of .*a_1.tif; rename one")


def test_other_pixels_under_the_name_of_another_split(good, put_split, put, refuses):
    put_split("test", {"a_1.tif": [CELL]})
    put("images/livecell_test_images/a_1.tif", np.zeros((40, 50), np.uint8))
    refuses("a_1.tif: its results would have the same name as those of .*a_1.tif; rename one")


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (
            np.zeros((50, 40), "u1"),
            r"40 x 50 pixels \(width x height\), expected 50 x 40 as livecell_coco_val.json says",
        ),
        (np.zeros((40, 50), "u2"), "of type uint16, expected 8 bit"),
        (np.zeros((40, 50), "f4"), "of type float32, expected 8 bit"),
        (COLOURS, "3 channels that differ, expected a gray image"),
        (np.zeros((5, 40, 50), "u1"), "5 pages, expected one image"),
    ],
    ids=["size", "16 bit", "float", "RGB", "stack"],
)
def test_tiff_of_another_kind(good, tmp_path, refuses, pixels, reason):
    photometric = "rgb" if pixels.shape[-1] == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "source" / FOLDER / "a_2.tif", pixels, photometric=photometric)
    refuses(f"a_2.tif: .*{reason}")


@pytest.mark.parametrize(
    ("pixels", "mode", "reason"),
    [
        (np.zeros((40, 50), "u2"), None, "of type uint16, expected 8 bit"),
        (COLOURS, None, "3 channels that differ, expected a gray image"),
        (np.zeros((40, 50, 4), "u1"), None, "4 channels, the last of which makes pixels transparent"),
        (COLOURS, "P", "3 channels that differ, expected a gray image"),
        (np.zeros((40, 50), "u1"), "1", "one bit pixels, expected gray values"),
    ],
)
def test_png_of_another_kind(good, put_split, tmp_path, refuses, pixels, mode, reason):
    path = tmp_path / "source" / FOLDER / "b_1.png"
    put_split("train", {"b_1.png": [CELL]})
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)
    refuses(f"b_1.png: .*{reason}")


@pytest.mark.parametrize("options", [{"folds": 3}, {"test": ["a_1"]}])
def test_folds_of_livecell_are_its_own(good, refuses, options):
    refuses("source: --folds and --test are for plain COCO; LIVECell has its own splits", **options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"test": ["c"]}, "--test c: no such unit; there are a_1, b_1"),
        ({"group": "("}, "--group \\(: not a regular expression"),
        ({"group": "a"}, "--group a: no group in brackets"),
        ({"group": "(a)"}, "--group \\(a\\): nothing found in the name b_1"),
    ],
)
def test_options_of_plain_coco(put, put_text, coco_document, refuses, options, reason):
    put_text("source/cells.json", json.dumps(coco_document({"a_1.tif": [CELL], "b_1.tif": [CELL]})))
    for number, name in enumerate(("a_1.tif", "b_1.tif")):
        put(name, np.full((40, 50), number, np.uint8))
    refuses(reason, **options)


def test_clean_that_leaves_nothing(put_split, refuses):
    off = [[60, 60, 70, 60, 70, 70]]
    put_split("val", {"a_1.tif": [off]})
    refuses("--clean leaves no image; convert without it", clean=True)


@pytest.mark.parametrize("name", ["a_1.czi", "a_1.ome.zarr"])
def test_image_in_a_format_that_is_not_converted_is_told_from_one_that_is_missing(tmp_path, put_split, refuses, name):
    put_split("val", {"a_2.tif": [CELL]})
    put_split("train", {name: [CELL]})
    place = tmp_path / "source" / FOLDER / name
    place.unlink()
    WRITERS["a.czi" if name.endswith("czi") else "a.zarr"](place, drawn())
    refuses(f"{name}: expected .tif, .tiff, .png, .*; export it as gray TIFF of 8 bit")


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_channels_of_a_microscope_are_no_gray_image(put, put_split, refuses, planar):
    put_split("val", {"a_1.tif": [CELL]})
    pixels = np.full((40, 50, 2) if planar == "contig" else (2, 40, 50), 255, np.uint8)
    pixels[(slice(9), slice(9), 0) if planar == "contig" else (0, slice(9), slice(9))] = 7
    put(f"{FOLDER}/a_1.tif", pixels, planarconfig=planar)
    refuses(r"a_1.tif: 2 samples per pixel \(MINISBLACK\), which are channels")
    put(f"{FOLDER}/a_1.tif", np.zeros((2, 40, 50), np.uint8), ome=True, metadata={"axes": "CYX"})
    refuses("a_1.tif: 2 pages, expected one image")


def test_jpeg_2000_is_converted(tmp_path, put_split, convert_cells):
    put_split("val", {"a_1.jp2": [CELL]})
    place = tmp_path / "source" / FOLDER / "a_1.jp2"
    pixels = tifffile.imread(place)
    place.write_bytes(imagecodecs.jpeg2k_encode(pixels, reversible=True, level=0, codecformat="jp2"))
    convert_cells()
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out/images/a_1.png")), pixels)


def test_name_is_the_same_however_its_accents_are_written(tmp_path, put_split, convert_cells):
    put_split("val", {"a_\u00e9.tif": [CELL]})
    place = tmp_path / "source" / FOLDER / "a_\u00e9.tif"
    place.rename(place.with_name("a_e\u0301.tif"))  # as a Mac zips it
    assert convert_cells()["images"] == 1


@pytest.mark.parametrize("content", [b"", b"II*\0", b"no image at all", "truncated"])
def test_file_that_is_no_image(good, tmp_path, refuses, content):
    path = tmp_path / "source" / FOLDER / "a_1.tif"
    path.write_bytes(path.read_bytes()[:-300] if content == "truncated" else content)
    refuses("a_1.tif: (cannot be read .*|truncated.*); (it may be damaged, )?copy")
