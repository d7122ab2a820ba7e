"""Slides and their masks, in every form that they come in, become one dataset."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from common.labels.run_lengths import encode_rle
from tests.tables import read_rows
from tests.tools.formats.raw_files import write_mosaic
from tools.__main__ import VERBS
from tools.command_line import run
from tools.convert import crypts
from tools.convert.crypts import crypts as convert_crypts

REAL = Path(__file__).parents[4] / "shared/data/crypts"
SMALL = {"patch_size": 16, "stride": 8}


def blobs() -> np.ndarray:
    """A mask of three crypts, two of them touching at a corner."""
    mask = np.zeros((40, 50), bool)
    mask[2:8, 3:9] = mask[8:12, 9:12] = mask[20:30, 40:50] = True
    return mask


LABELS = np.zeros((40, 50), int)
LABELS[2:8, 3:9] = LABELS[8:12, 9:12] = 1  # 8 neighbours: a corner joins them
LABELS[20:30, 40:50] = 2


@pytest.fixture
def two_slides(put_slide, put_text):
    """Two slides and a CSV beside their folder; the second one has no crypt."""
    pixels = {stem: put_slide(f"{stem}.tiff") for stem in ("B1_a", "B2_a")}
    put_text("source.csv", f"id,rle\nB2_a,0 0\nB1_a,{encode_rle(blobs())}\n")
    return pixels


def test_images_labels_and_patches_are_written(two_slides, convert_slides, datalist, tmp_path):
    summary = convert_slides(**SMALL, folds=2, name="colon", licence="CC0")
    out = tmp_path / "out"
    for stem, pixels in two_slides.items():
        np.testing.assert_array_equal(tifffile.imread(out / f"images/{stem}.tiff"), pixels)
    labels = tifffile.imread(out / "labels/B1_a.tiff")
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, LABELS)
    assert not tifffile.imread(out / "labels/B2_a.tiff").any()
    for name in ("images/B1_a.tiff", "labels/B1_a.tiff"):
        with tifffile.TiffFile(out / name) as tiff:
            assert (tiff.pages[0].tile, tiff.pages[0].compression) == ((512, 512), 8)
    assert datalist() == {
        "name": "colon",
        "licence": "CC0",
        "patch_size": 16,
        "training": [
            {
                "image": f"images/{stem}.tiff",
                "label": f"labels/{stem}.tiff",
                "patches": f"patches/{stem}.csv",
                "slide": stem,
                "fold": fold,
            }
            for fold, stem in enumerate(two_slides)
        ],
        "testing": [],
    }
    header, *rows = read_rows(out / "patches/B1_a.csv")
    assert header == ["y", "x", "annotated"]
    assert [tuple(map(int, row)) for row in rows] == [
        (y, x, int(LABELS[y : y + 16, x : x + 16].any())) for y in (0, 8, 16, 24) for x in (0, 8, 16, 24, 32, 34)
    ]
    assert {key: summary[key] for key in ("slides", "labelled", "crypts", "patches", "folds")} == {
        "slides": 2,
        "labelled": 2,
        "crypts": 2,
        "patches": 48,
        "folds": 2,
    }


@pytest.mark.parametrize("column", ["rle", "encoding", "predicted", "RLE"])
@pytest.mark.parametrize("place", ["source.csv", "source/any name.csv", "elsewhere/masks.csv"])
def test_csv_of_run_lengths_is_found(put_slide, put_text, convert_slides, tmp_path, column, place):
    put_slide("s.tif")
    path = put_text(place, f"{column},organ,id\n{encode_rle(blobs())},colon,s\n")
    convert_slides(masks=path if "elsewhere" in place else None, folds=1)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/labels/s.tiff"), LABELS)


def geojson_of_blobs() -> str:
    corners = [(2, 3, 8, 9), (8, 9, 12, 12), (20, 40, 30, 50)]
    rings = [[[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]] for y0, x0, y1, x1 in corners]
    features = [{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}} for ring in rings]
    return json.dumps({"type": "FeatureCollection", "features": features})


@pytest.mark.parametrize("place", ["source/s_mask.tif", "source/s.geojson", "masks/s.tiff", "masks/s_crypts.geojson"])
def test_mask_tiff_and_geojson_are_found(put_slide, put, put_text, convert_slides, tmp_path, place):
    put_slide("s.tiff")
    if place.endswith("geojson"):
        put_text(place, geojson_of_blobs())
    else:
        put(f"../{place}", blobs().astype(np.uint8) * 255, compression="zlib")
    convert_slides(masks=tmp_path / "masks" if place.startswith("masks") else None, folds=1)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/labels/s.tiff"), LABELS)


def test_group_keeps_the_regions_of_a_slide_in_one_fold(put_slide, put_text, convert_slides, datalist):
    stems = [f"B{slide}_{part}" for slide in (1, 2, 3) for part in ("left", "right")]
    for stem in stems:
        put_slide(f"{stem}.tiff")
    put_text("source.csv", "id,rle\n" + "".join(f"{stem},\n" for stem in stems))
    convert_slides(group="(B[0-9])", folds=2, test=["B2"])
    assert [(item["slide"], item["fold"]) for item in datalist()["training"]] == [("B1", 0)] * 2 + [("B3", 1)] * 2
    assert [(item["slide"], item.get("fold")) for item in datalist()["testing"]] == [("B2", None)] * 2


def test_slides_under_testing_need_no_mask_file(put_slide, convert_slides, datalist, tmp_path):
    put_slide("s.tiff")
    assert convert_slides(test=["all"])["labelled"] == 0
    (item,) = datalist()["testing"]
    assert set(item) == {"image", "patches", "slide"}
    assert read_rows(tmp_path / "out/patches/s.csv") == [["y", "x", "annotated"], ["0", "0", "0"]]


def test_pixel_size_comes_from_the_file_unless_given(put_slide, convert_slides, datalist, tmp_path):
    put_slide("s.tiff", resolution=(20000, 20000), resolutionunit="CENTIMETER")
    convert_slides(test=["all"])
    assert datalist()["testing"][0]["pixel_size_um"] == 0.5
    convert_slides(test=["all"], pixel_size=0.25)
    assert datalist()["testing"][0]["pixel_size_um"] == 0.25
    with tifffile.TiffFile(tmp_path / "out/images/s.tiff") as tiff:
        assert tiff.pages[0].get_resolution("micrometer") == pytest.approx((4, 4))


def test_slide_of_glass_is_converted_and_has_no_patch(put_slide, put_text, convert_slides):
    put_slide("s.tiff", np.full((40, 50, 3), 250, np.uint8))
    put_text("source.csv", "id,rle\ns,\n")
    summary = convert_slides(folds=1)
    assert (summary["slides"], summary["patches"], summary["crypts"]) == (1, 0, 0)


def test_mask_that_is_mostly_white_is_told(put_slide, put, convert_slides, caplog):
    put_slide("s.tiff", np.full((40, 50, 3), 128, np.uint8))
    put("s_mask.tif", np.pad(np.zeros((10, 10), np.uint8), ((20, 10), (20, 20)), constant_values=255))
    convert_slides(folds=1)
    assert "s_mask.tif: more than half of the slide is white, and so crypt; is the mask inverted?" in caplog.text


def test_many_crypts_are_stored_with_32_bits(put_slide, put, convert_slides, tmp_path):
    mask = np.zeros((600, 600), np.uint8)
    mask[::2, ::2] = 1
    put_slide("s.tiff", np.full((600, 600, 3), 128, np.uint8))
    put("s_mask.tif", mask)
    convert_slides(folds=1)
    labels = tifffile.imread(tmp_path / "out/labels/s.tiff")
    assert (labels.dtype, labels.max()) == (np.int32, 300 * 300)


def written(folder: Path) -> dict[str, int]:
    """Modification time of every file but dataset.json."""
    return {p.relative_to(folder).as_posix(): p.stat().st_mtime_ns for p in folder.rglob("*.*") if p.suffix != ".json"}


def test_only_what_changed_or_was_cut_is_redone(two_slides, put_text, convert_slides, tmp_path):
    convert_slides()
    before = written(tmp_path / "out")
    put_text("source.csv", f"id,rle\nB1_a,{encode_rle(blobs())}\nB2_a,1 7\n")
    os.utime(tmp_path / "source/B1_a.tiff", (1, 1))
    victim = tmp_path / "out/images/B2_a.tiff"
    victim.write_bytes(victim.read_bytes()[:-100])
    convert_slides()
    after = written(tmp_path / "out")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"images/B1_a.tiff", "images/B2_a.tiff", "labels/B2_a.tiff", "patches/B2_a.csv"}
    np.testing.assert_array_equal(tifffile.imread(victim), two_slides["B2_a"])


def test_slide_is_read_a_row_of_tiles_at_a_time(put_slide, put_text, convert_slides, monkeypatch):
    put_slide("s.tiff", np.full((1300, 64, 3), 128, np.uint8), tile=(64, 64), compression="zlib")
    put_text("source.csv", "id,rle\ns,\n")
    read, windows = crypts.TiffWindows.read, []
    monkeypatch.setattr(crypts.TiffWindows, "read", lambda self, *w: windows.append(w) or read(self, *w))
    convert_slides(folds=1)
    assert max(height for _, _, height, _ in windows) <= 512


def test_command_line_says_what_was_made(two_slides, tmp_path, capsys):
    words = ["convert", "crypts", str(tmp_path / "source"), str(tmp_path / "out"), "--test", "B2_a", "--folds", "1"]
    assert run(VERBS, [*words, "--patch_size", "16", "--stride", "8"]) == 0
    assert "patches    48" in capsys.readouterr().out
    assert run(VERBS, [*words, "--black_share", "none"]) == 1
    assert "--black_share none: expected a number above 0" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="no real data here")
def test_real_slide_keeps_its_pixels_and_its_runs(tmp_path):
    stem = "HandE_B005_CL_b_RGB_topleft"
    (tmp_path / "test").mkdir()
    shutil.copy(REAL / f"test/{stem}.tiff", tmp_path / "test")
    shutil.copy(REAL / "test.csv", tmp_path)
    summary = convert_crypts(tmp_path / "test", tmp_path / "out", test=["all"])
    assert (summary["crypts"], summary["patches"], summary["annotated"]) == (23, 99, 49)
    labels = tifffile.imread(tmp_path / f"out/labels/{stem}.tiff")
    assert encode_rle(labels > 0) == (REAL / "test.csv").read_text().splitlines()[1].split(",")[1]
    source, image = (tifffile.imread(folder / f"{stem}.tiff") for folder in (REAL / "test", tmp_path / "out/images"))
    np.testing.assert_array_equal(image, source)


def test_channels_that_are_red_green_and_blue_are_a_slide(put_slide, put, put_text, convert_slides, tmp_path):
    pixels = put_slide("B1_a.tiff")
    about = {"axes": "CYX", "Channel": {"Name": ["Blue", "Green", "Red"]}}
    put("B1_a.tiff", np.moveaxis(pixels[..., ::-1], -1, 0).copy(), ome=True, metadata=about)
    put_text("source.csv", "id,rle\nB1_a,1 5\n")
    convert_slides(folds=1)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/images/B1_a.tiff"), pixels)


def test_czi_is_read_by_its_tiles(convert_slides, datalist, put_text, tmp_path):
    pixels = np.random.default_rng(0).integers(70, 210, (96, 160, 3), np.uint8)
    (tmp_path / "source").mkdir()
    write_mosaic(tmp_path / "source/B1_a.czi", pixels)
    put_text("source.csv", "id,rle\nB1_a,1 5\n")
    convert_slides(**SMALL, folds=1)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/images/B1_a.tiff"), pixels[..., ::-1])
    assert datalist()["training"][0]["pixel_size_um"] == pytest.approx(0.5)
