"""Any window of any RGB slide is read as it was written; whatever is not a slide is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from common.reading.slides import nearest_level, open_slide, pixel_size_um
from common.reading.windows import TiffWindows

SHAPE = (70, 90, 3)
LAYOUTS = {
    "one raw strip": {},
    "raw strips": {"rowsperstrip": 16},
    "deflated strips": {"rowsperstrip": 16, "compression": "zlib", "predictor": True},
    "one deflated strip": {"rowsperstrip": 70, "compression": "zlib"},
    "LZW tiles": {"tile": (32, 48), "compression": "lzw"},
    "raw tiles": {"tile": (32, 48)},
    "planar tiles": {"tile": (32, 48), "compression": "zlib", "planarconfig": "separate"},
    "planar raw": {"planarconfig": "separate"},
    "BigTIFF, big endian": {"tile": (32, 48), "compression": "zlib", "bigtiff": True, "byteorder": ">"},
    "OME": {"tile": (32, 48), "compression": "zlib", "ome": True, "metadata": {"axes": "YXS"}},
}


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)


@pytest.fixture(scope="module", params=LAYOUTS, ids=str)
def layout(request, picture, tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "slide.tiff"
    options = LAYOUTS[request.param]
    planar = options.get("planarconfig") == "separate"
    tifffile.imwrite(path, np.moveaxis(picture, -1, 0) if planar else picture, photometric="rgb", **options)
    return path


@settings(max_examples=30)
@given(st.data())
def test_every_window_is_the_crop(layout, picture, data):
    y, x = data.draw(st.integers(0, SHAPE[0] - 1)), data.draw(st.integers(0, SHAPE[1] - 1))
    height, width = data.draw(st.integers(1, SHAPE[0] - y)), data.draw(st.integers(1, SHAPE[1] - x))
    with open_slide(layout) as slide:
        assert (slide.shape, slide.dtype) == (SHAPE, np.uint8)
        np.testing.assert_array_equal(slide.read(y, x, height, width), picture[y : y + height, x : x + width])


def test_gray_labels_are_read_as_they_are(put):
    labels = np.arange(70 * 90, dtype=np.int32).reshape(70, 90)
    with TiffWindows(put("labels.tiff", labels, tile=(16, 32), compression="zlib")) as image:
        assert (image.shape, image.dtype) == ((70, 90), np.int32)
        np.testing.assert_array_equal(image.read(10, 20, 33, 44), labels[10:43, 20:64])


def test_tile_that_was_never_stored_is_white(tmp_path, picture):
    tiles = [picture[:32, :48], None, picture[:32, :48], picture[:32, :48]]
    options = {"shape": (64, 96, 3), "dtype": np.uint8, "tile": (32, 48), "photometric": "rgb", "compression": "zlib"}
    tifffile.imwrite(tmp_path / "a.tiff", iter(tiles), **options)
    with open_slide(tmp_path / "a.tiff") as slide:
        expected = np.tile(picture[:32, :48], (2, 2, 1))
        expected[:32, 48:] = 255
        np.testing.assert_array_equal(slide.read(0, 0, 64, 96), expected)


@pytest.mark.parametrize("encoder", ["tifffile, YCbCr", "libtiff, RGB"])
def test_jpeg_comes_as_rgb(tmp_path, encoder):
    smooth = np.linspace(0, 255, 70 * 90).reshape(70, 90)
    picture = np.stack([smooth, smooth[::-1], 0 * smooth + 90], axis=-1).astype(np.uint8)
    path = tmp_path / "slide.tiff"
    if encoder == "tifffile, YCbCr":
        tifffile.imwrite(path, picture, photometric="rgb", compression="jpeg", tile=(64, 64))
    else:
        Image.fromarray(picture).save(path, compression="jpeg", quality=95)
    with open_slide(path) as slide:
        assert slide.page.photometric == (6 if encoder == "tifffile, YCbCr" else 2)
        window = slide.read(5, 6, 60, 70).astype(int)
    assert np.abs(window - picture[5:65, 6:76]).mean() < 5


def test_pyramid_is_read_at_level_0(tmp_path, picture):
    with tifffile.TiffWriter(tmp_path / "slide.ome.tif", ome=True) as writer:
        writer.write(picture, subifds=2, photometric="rgb", tile=(32, 32), compression="zlib", metadata={"axes": "YXS"})
        for step in (2, 4):
            writer.write(picture[::step, ::step], subfiletype=1, photometric="rgb", tile=(32, 32), compression="zlib")
    with open_slide(tmp_path / "slide.ome.tif") as slide:
        np.testing.assert_array_equal(slide.read(0, 0, 70, 90), picture)


@pytest.mark.parametrize(
    ("told", "size"), [("AppMag = 40|MPP = 0.2520", 0.252), ("AppMag = 40|MPP = 0,2520", 0.252), ("AppMag = 20", 0.5)]
)
def test_svs_is_read_at_level_0_and_tells_its_pixel_size(tmp_path, picture, told, size):
    with tifffile.TiffWriter(tmp_path / "slide.svs") as writer:
        text = f"Aperio Image Library v11\r\n90x70 [0,0 90x70] (32x32)|{told}"
        options = {"photometric": "rgb", "tile": (32, 32), "compression": "zlib", "metadata": None}
        writer.write(picture, description=text, **options)
        writer.write(picture[::4, ::4].copy(), photometric="rgb", metadata=None, description="Aperio thumbnail")
        writer.write(picture[::2, ::2].copy(), description="Aperio level", **options)
    with open_slide(tmp_path / "slide.svs") as slide:
        np.testing.assert_array_equal(slide.read(0, 0, 70, 90), picture)
        assert pixel_size_um(slide) == size


def ome(x, y, unit):
    keys = {"PhysicalSizeX": x, "PhysicalSizeXUnit": unit, "PhysicalSizeY": y, "PhysicalSizeYUnit": unit}
    return {"ome": True, "metadata": {"axes": "YXS", **keys}}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (ome(0.25, 0.25, "µm"), 0.25),
        (ome(500, 500, "nm"), 0.5),
        (ome(0.25, 0.5, "µm"), None),
        (ome(1, 1, "pixel"), None),
        ({"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}, 0.5),
        ({"resolution": (50800, 50800), "resolutionunit": "INCH"}, 0.5),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"resolution": (1000, 1000), "resolutionunit": "CENTIMETER"}, 10.0),
        ({"resolution": (400, 400), "resolutionunit": "CENTIMETER"}, None),
        ({"resolution": (250000, 250000), "resolutionunit": "CENTIMETER"}, None),
        ({"resolution": (20000, 20000), "resolutionunit": "NONE"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_pixel_size_is_what_the_file_tells_where_that_is_plausible(put, picture, options, expected):
    with open_slide(put("slide.tiff", picture, photometric="rgb", **options)) as slide:
        assert pixel_size_um(slide) == expected


@pytest.mark.parametrize(
    ("array", "options", "reason"),
    [
        (
            np.zeros((9, 9, 4), "u1"),
            {"photometric": "rgb", "extrasamples": ["unassalpha"]},
            r"4 samples.*without the alpha",
        ),
        (np.zeros((9, 9), "u1"), {}, r"1 samples per pixel \(MINISBLACK\).*expected 3 \(RGB\).*in colour"),
        (np.zeros((9, 9, 3), "u2"), {"photometric": "rgb"}, "of type uint16, expected 3 .* 8 bits per channel"),
        (
            np.zeros((9, 9, 4), "u1"),
            {"photometric": "separated"},
            r"4 samples per pixel \(CMYK\).*convert it to RGB",
        ),
        (np.zeros((2, 9, 9, 3), "u1"), {"photometric": "rgb"}, "several planes, expected one image"),
        (np.zeros((3, 9, 9), "u1"), {"photometric": "minisblack"}, "several planes, expected one image"),
    ],
    ids=["RGBA", "gray", "16 bit", "CMYK", "stack", "gray planes"],
)
def test_whatever_is_not_8_bit_rgb_is_refused(put, array, options, reason):
    with pytest.raises(ValueError, match=f"slide.tiff: .*{reason}"):
        open_slide(put("slide.tiff", array, **options))


@pytest.mark.parametrize("name", ["one raw strip", "deflated strips", "LZW tiles", "OME"])
def test_every_cut_through_the_pixels_is_noticed(put, picture, name):
    path = put("slide.tiff", picture, photometric="rgb", **LAYOUTS[name])
    content = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        end = max(a + n for a, n in zip(page.dataoffsets, page.databytecounts, strict=True))
    for size in [*range(0, end, 997), end - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match="truncated|cannot be read as TIFF"):
            open_slide(path)


def test_tile_that_cannot_be_decoded_is_told_when_it_is_read(put, picture):
    path = put("slide.tiff", picture, photometric="rgb", tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + 200] = b"\xff" * 200
    path.write_bytes(content)
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read(40, 40, 9, 9), picture[40:49, 40:49])
        with pytest.raises(ValueError, match="slide.tiff: pixels cannot be decoded"):
            slide.read(0, 0, 9, 9)


@pytest.mark.parametrize("window", [(-1, 0, 5, 5), (0, 0, 71, 5), (0, 86, 5, 5), (0, 0, 0, 5)])
def test_window_outside_the_image_is_refused(put, picture, window):
    opened = open_slide(put("slide.tiff", picture, photometric="rgb"))
    with opened as slide, pytest.raises(ValueError, match="no window of .* in 70 x 90 pixels"):
        slide.read(*window)


def test_only_the_tiles_under_a_window_are_decoded(put, picture, monkeypatch):
    decoded = []
    with open_slide(put("slide.tiff", picture, photometric="rgb", tile=(16, 16), compression="zlib")) as slide:
        monkeypatch.setattr(
            slide, "_tile", lambda index, keep, tile=slide._tile: decoded.append(index) or tile(index, keep=keep)
        )
        slide.read(17, 17, 14, 30)
    assert decoded == [7, 8]


@pytest.mark.parametrize(
    ("small", "expected"), [((50, 50), (1, 1)), ((49, 51), (1, 1)), ((48, 50), (0, 2)), ((40, 40), (0, 2))]
)
def test_level_that_is_smaller_by_no_whole_number_is_passed_over(small, expected):
    assert nearest_level(SimpleNamespace(level_shapes=((100, 100), small)), 2) == expected
