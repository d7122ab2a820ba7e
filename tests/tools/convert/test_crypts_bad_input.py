"""Every kind of bad slide or mask ends in one clear message, and never in a dataset.json."""

import numpy as np
import pytest


@pytest.fixture
def refuses(refusal, convert_slides):
    """Function that converts and expects an error."""
    return refusal(convert_slides)


@pytest.fixture
def good(put_slide, put_text):
    """A slide ``good`` with a row in source.csv, beside which the bad one is put."""
    put_slide("good.tiff")
    return put_text("source.csv", "id,rle\ngood,1 5\n")


MASK = np.zeros((40, 50), np.uint8)
COLOURS = np.zeros((40, 50, 3), np.uint8)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"source/notes.txt": "no slide"}, "source: no slide there, expected"),
        (
            {"s.tiff": COLOURS, "source/a.csv": "id\n", "source/b.csv": "id\n"},
            "source: 2 CSV .*choose with --masks",
        ),
        (
            {"s.tiff": COLOURS, "t.tiff": COLOURS, "source/t.geojson": "[]"},
            "s.tiff: no mask, neither source.csv nor s_mask.tif or .geojson; .* --test s",
        ),
        (
            {"s.tiff": COLOURS, "other_mask.tif": MASK},
            "other_mask.tif: a mask without its slide; add other.tiff",
        ),
        (
            {"s.tiff": COLOURS, "source/other.geojson": "[]"},
            "other.geojson: a mask without its slide",
        ),
        (
            {"s.tiff": COLOURS, "s_mask.tif": MASK, "source/s.geojson": "[]"},
            "s_mask.tif: a second mask of s, besides .*s.geojson; keep one",
        ),
        ({"s.tiff": COLOURS, "s_mask.tif": MASK.T}, "s_mask.tif: .* pixels, expected 40 x 50 as the slide"),
        (
            {"s.tiff": COLOURS, "s_mask.tif": np.stack([MASK, MASK])},
            "s_mask.tif: .* pixels, expected 40 x 50 as the slide",
        ),
        ({"s.tiff": COLOURS, "s_mask.tif": COLOURS}, "s_mask.tif: 3 samples per pixel .RGB., expected one gray value"),
        ({"s.tiff": COLOURS, "source/s.geojson": "{"}, "s.geojson: not a readable GeoJSON"),
        ({"s.tiff": COLOURS, "source/s_mask.png": "PNG"}, "s_mask.png: a mask as PNG, expected TIFF or GeoJSON; save"),
        (
            {"s.tiff": COLOURS, "source/s.geojson": '[{"type": "Point", "coordinates": [1, 2]}]'},
            "s.geojson: feature 1: Point, expected Polygon",
        ),
        (
            {
                "s.tiff": COLOURS,
                "source/s.geojson": '[{"type": "Polygon", "coordinates": [[[0,0],[99,0],[9,9]]]}]',
            },
            "s.geojson: polygon 1: x from 0 to 99",
        ),
    ],
    ids=str,
)
def test_slides_and_masks_that_do_not_fit_together(put_slide, put, put_text, refuses, files, reason):
    for name, content in files.items():
        if isinstance(content, str):
            put_text(name, content)
        elif content is COLOURS:
            put_slide(name)
        else:
            put(name, content)
    refuses(reason)


def test_slide_that_is_not_8_bit_rgb(good, put_slide, refuses):
    put_slide("bad.tiff", np.zeros((9, 9, 3), "u2"))
    good.write_text("id,rle\ngood,1 5\nbad,\n")
    refuses("bad.tiff: .*of type uint16, expected 3 .* 8 bits per channel")


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
    refuses("good.tiff: pixels cannot be decoded")


def test_two_slides_of_one_name(good, put_slide, refuses):
    put_slide("good.tif")
    refuses("good.tiff: its results would have the same name as those of .*good.tif; rename one")


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


@pytest.mark.parametrize("text", [b"", b"image,rle\ngood,1 5\n", b"id,organ\ngood,colon\n", b"\xff\xfe\x00id,rle"])
def test_csv_without_its_columns(good, refuses, text):
    good.write_bytes(text)
    refuses("source.csv: (columns .*; expected id and rle, encoding, predicted|not a readable CSV)")


def test_masks_that_do_not_exist(good, refuses, tmp_path):
    refuses("nowhere: no such file or folder", masks=tmp_path / "nowhere")


def test_mask_with_several_values(put_slide, put, refuses):
    put_slide("s.tiff")
    mask = np.zeros((40, 50), np.uint8)
    mask[0, :2] = 3, 255
    put("s_mask.tif", mask)
    refuses("s_mask.tif: more than one value besides 0, from 0 to 255")


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
