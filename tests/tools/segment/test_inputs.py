import gzip

import numpy as np
import pytest
import tifffile
from PIL import Image

from common.errors import InputError
from common.reading.formats import identify
from tests.tools.serve.conftest import IMAGES, noise
from tools.segment.description import Description
from tools.segment.inputs import parse_boxes, prepare_image

SLIDES = Description("slides", IMAGES.root, "", 2, "mask", (".tiff", ".tif"))


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "nii", "nii.gz"])
def test_format_is_told_by_content(image_files, kind):
    assert identify(image_files / kind) == kind


def test_other_gzip_is_no_image(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"text" * 500))
    assert identify(tmp_path / "a.nii.gz") is None


def test_image_that_the_bundle_reads_keeps_its_bytes(image_files):
    prepared = prepare_image(image_files / "png", IMAGES, image_files / "job", {})
    assert prepared.name == "image.png" and prepared.read_bytes() == (image_files / "png").read_bytes()


def test_png_becomes_tiff_where_only_tiff_is_read(image_files):
    prepared = prepare_image(image_files / "png", SLIDES, image_files / "job", {})
    np.testing.assert_array_equal(tifffile.imread(prepared), noise(0, (4, 5, 3)))


HUGE = f"[[1{400 * '0'},1,2,3]]"


@pytest.mark.parametrize(
    "text", ["", "1", "[]", "[[1,2,3]]", '[["a",1,2,3]]', "[[1,2,3,NaN]]", "[" * 5000, pytest.param(HUGE, id="huge")]
)
def test_what_is_no_boxes(text):
    with pytest.raises(InputError, match="boxes: expected JSON"):
        parse_boxes(text)


def test_boxes():
    np.testing.assert_array_equal(parse_boxes("[[1, 2, 3.5, 4]]"), [[1, 2, 3.5, 4]])


@pytest.mark.parametrize("kind", ["gray and alpha", "palette", "ink", "turned"])
def test_picture_reaches_the_bundle_as_a_viewer_shows_it(tmp_path, kind):
    colours = np.zeros((16, 24, 3), np.uint8)
    colours[:8, :8] = (200, 40, 40)
    options = (
        {"format": "PNG"}
        if kind in ("gray and alpha", "palette")
        else {"format": "JPEG", "quality": 95, "subsampling": 0}
    )
    if kind == "gray and alpha":
        picture, expected = Image.fromarray(colours[..., 0]).convert("LA"), colours[..., 0]
    elif kind == "palette":
        picture, expected = Image.fromarray(colours).quantize(2), colours
    elif kind == "ink":
        picture, expected = Image.fromarray(colours).convert("CMYK"), colours
    else:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = 6  # to be turned by a quarter, clockwise
        picture, expected = Image.fromarray(colours), np.rot90(colours, -1)
    picture.save(tmp_path / "upload", **options)
    prepared = prepare_image(tmp_path / "upload", SLIDES, tmp_path / "job", {})
    np.testing.assert_allclose(tifffile.imread(prepared).astype(int), expected, atol=40 if "quality" in options else 0)


def test_see_through_picture_is_refused(tmp_path):
    Image.new("LA", (9, 5), (100, 20)).save(tmp_path / "upload", format="PNG")
    with pytest.raises(InputError, match="upload: 2 channels, the last of which makes pixels transparent"):
        prepare_image(tmp_path / "upload", SLIDES, tmp_path / "job", {})
