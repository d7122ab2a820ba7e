"""Every kind of bad slide or mask ends in one clear message, and never in a dataset.json."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import InputError
from tools.convert.crypts import crypts as convert_crypts


@pytest.fixture
def refuses(refusal, convert_slides):
    """Function that converts and expects an error."""
    return refusal(convert_slides)


@pytest.fixture
def good(put_slide, put_text):
    """A slide ``good`` with a row in source.csv, beside which the bad one is put."""
    put_slide("good.tiff")
    return put_text("source.csv", "id,rle\ngood,1 5\n")


def test_source_that_does_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder, expected one of slides"):
        convert_crypts(tmp_path / "nowhere", tmp_path / "out")


def test_folder_without_a_slide(put_text, refuses):
    put_text("source/notes.txt", "no slide")
    refuses("source: no slide there, expected")


@pytest.mark.parametrize(
    ("pixels", "options", "reason"),
    [
        (np.zeros((9, 9, 4), "u1"), {"extrasamples": ["unassalpha"]}, "4 samples .* without the alpha channel"),
        (np.zeros((9, 9), "u1"), {"photometric": "minisblack"}, "1 samples .* export the slide in colour"),
        (np.zeros((9, 9, 3), "u2"), {}, "of type uint16, expected 3 .* 8 bits per channel"),
        (np.zeros((9, 9, 4), "u1"), {"photometric": "separated"}, "SEPARATED.*convert it to RGB"),
    ],
    ids=["RGBA", "gray", "16 bit", "CMYK"],
)
def test_slide_that_is_not_8_bit_rgb(good, put_slide, refuses, pixels, options, reason):
    put_slide("bad.tiff", pixels, **options)
    good.write_text("id,rle\ngood,1 5\nbad,\n")
    refuses(f"bad.tiff: .*{reason}")


def test_truncated_slide(good, refuses, tmp_path):
    path = tmp_path / "source/good.tiff"
    path.write_bytes(path.read_bytes()[:900])
    refuses("good.tiff: truncated, 900 bytes found, pixels reach to byte")


def test_pixels_that_cannot_be_decoded(good, put_slide, refuses, tmp_path):
    put_slide("good.tiff", compression="zlib")
    path = tmp_path / "source/good.tiff"
    content = bytearray(path.read_bytes())
    content[-2000:-1000] = b"\xff" * 1000
    path.write_bytes(content)
    refuses("good.tiff: pixels cannot be decoded", in_pixels=True)


def test_two_slides_of_one_name(good, put_slide, refuses):
    put_slide("good.tif")
    refuses("good.tiff: same name as .*good.tif, so their results would overwrite each other; rename one")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("good,1 5\nother,1 5\n", "source.csv: id other has no image in .*source; add other.tiff or drop the row"),
        ("", "source.csv: no row for the image good; add one, with 0 0 if it has no crypt"),
        ("good,1 5\ngood,9 5\n", "source.csv: id good has two rows"),
        ("good,1 2 3\n", "source.csv: id good: 3 values, expected pairs"),
        ("good,1999 3\n", "source.csv: id good: run 1999 3: it runs past the 2000 pixels of 40 x 50"),
        ("good,1 5 3 4\n", "source.csv: id good: run 1 5: it overlaps the next one"),
        ("good,1 -5\n", "source.csv: id good: run 1 -5: its length is below 1"),
        ("good,0 5\n", "source.csv: id good: run 0 5: it starts before pixel 1"),
        ("good,a b\n", "source.csv: id good: 'a' is no whole number"),
    ],
)
def test_rows_that_do_not_fit(good, refuses, rows, reason):
    good.write_text(f"id,rle\n{rows}")
    refuses(reason)


@pytest.mark.parametrize("text", ["", "image,rle\ngood,1 5\n", "id,organ\ngood,colon\n"])
def test_csv_without_its_columns(good, refuses, text):
    good.write_text(text)
    refuses("source.csv: columns .*; expected id and rle, encoding, predicted")


def test_csv_that_is_no_text(good, refuses):
    good.write_bytes(b"\xff\xfe\x00id,rle")
    refuses("source.csv: not a readable CSV")


def test_two_csv_files_to_choose_from(put_slide, put_text, refuses):
    put_slide("s.tiff")
    put_text("source/a.csv", "id,rle\n")
    put_text("source/b.csv", "id,rle\n")
    refuses(r"source: 2 CSV files \(a.csv, b.csv\); choose with --masks")


def test_masks_that_do_not_exist(good, refuses, tmp_path):
    refuses("nowhere: no such file or folder", masks=tmp_path / "nowhere")


def test_training_slide_without_a_mask(put_slide, put_text, refuses):
    put_slide("s.tiff")
    put_slide("t.tiff")
    put_text("source/t.geojson", "[]")
    refuses("s.tiff: no mask, neither source.csv nor s_mask.tif or .geojson; .* --test s")


@pytest.mark.parametrize("name", ["other_mask.tif", "other.geojson"])
def test_mask_without_its_slide(put_slide, put, put_text, refuses, name):
    put_slide("s.tiff")
    if name.endswith("tif"):
        put(name, np.zeros((40, 50), np.uint8))
    else:
        put_text(f"source/{name}", "[]")
    refuses(f"{name}: a mask without its slide; add other.tiff to .*source or remove the mask")


def test_two_masks_of_one_slide(put_slide, put, put_text, refuses):
    put_slide("s.tiff")
    put("s_mask.tif", np.zeros((40, 50), np.uint8))
    put_text("source/s.geojson", "[]")
    refuses("s_mask.tif: a second mask of s, besides .*s.geojson; keep one")


@pytest.mark.parametrize("shape", [(50, 40), (2, 40, 50)])
def test_mask_of_another_size(put_slide, put, refuses, shape):
    put_slide("s.tiff")
    put("s_mask.tif", np.zeros(shape, np.uint8))
    refuses("s_mask.tif: .* pixels, expected 40 x 50 as the slide")


def test_mask_in_colour(put_slide, refuses):
    put_slide("s.tiff")
    put_slide("s_mask.tif")
    refuses("s_mask.tif: 3 samples per pixel .RGB., expected one gray value")


def test_mask_with_several_values(put_slide, put, refuses):
    put_slide("s.tiff")
    mask = np.zeros((40, 50), np.uint8)
    mask[0, :2] = 3, 255
    put("s_mask.tif", mask)
    refuses("s_mask.tif: more than one value besides 0, from 0 to 255", in_pixels=True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "s.geojson: not a readable GeoJSON"),
        ('[{"type": "Point", "coordinates": [1, 2]}]', "s.geojson: feature 1: Point, expected Polygon"),
        ('[{"type": "Polygon", "coordinates": [[[0, 0], [99, 0], [0, 9]]]}]', "s.geojson: polygon 1: x from 0 to 99"),
    ],
)
def test_geojson_that_does_not_fit(put_slide, put_text, refuses, text, reason):
    put_slide("s.tiff")
    put_text("source/s.geojson", text)
    refuses(reason)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"test": ["bad"]}, "--test bad: no such slide; there are good, or all"),
        ({"group": "("}, r"--group \(: not a regular expression"),
        ({"group": "g.*"}, "--group g.*: no group in brackets"),
        ({"group": "(B[0-9]+)"}, "nothing found in the name good; choose one that fits all images"),
        ({"folds": 0}, "0 folds, expected at least 1"),
    ],
    ids=str,
)
def test_options_that_do_not_fit(good, refuses, options, reason):
    refuses(reason, **options)


def test_dataset_of_somebody_else_is_not_replaced(good, put_text, convert_slides):
    path = put_text("out/dataset.json", '{"name": "mine", "training": []}')
    with pytest.raises(InputError, match="dataset.json: not written by this converter"):
        convert_slides()
    assert "mine" in path.read_text()
    assert [p.name for p in path.parent.iterdir()] == ["dataset.json"]


def test_destination_that_cannot_be_written(good, put_text, convert_slides):
    put_text("out", "a file where a folder should be")
    with pytest.raises(InputError, match="out: cannot be written .*; choose another folder"):
        convert_slides()
