import gzip
import re

import nibabel as nib
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from common.errors import InputError
from common.reading.formats import identify
from common.reading.pictures import read_gray
from tests.tools.formats.raw_files import write_zarr
from tests.tools.serve.conftest import IMAGES, VOLUMES, noise
from tools.formats.microscopes import read
from tools.formats.scenes import Pick
from tools.segment.description import Description
from tools.segment.inputs import prepare_image
from tools.segment.sources import find_sources

SLIDES = Description("slides", IMAGES.root, "", 2, "mask", (".tiff", ".tif"), in_colours=True)


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


RED, GREEN, BLUE = "FF0000", "00FF00", "0000FF"


def write_channels(folder, ending, names, hues, dtype="uint8"):
    """Three channels of one plane, so named and so coloured, in the order that they have as samples."""
    path, pixels = folder / f"a{ending}", noise(0, (3, 24, 40)).astype(dtype)
    if ending == ".zarr":
        write_zarr(path, pixels[None, None, :, None])
        shown = [{"label": name, "color": hue} for name, hue in zip(names, hues, strict=True)]
        group = zarr.open_group(path)
        group.attrs["ome"] = {**group.attrs["ome"], "omero": {"channels": shown}}
    else:
        told = {RED: -16776961, GREEN: 16711935, BLUE: 65535}
        about = {"axes": "CYX", "Channel": {"Name": names, "Color": [told[hue] for hue in hues]}}
        tifffile.imwrite(path, pixels, ome=True, photometric="minisblack", metadata=about)
    return path, pixels


@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
@pytest.mark.parametrize(
    ("names", "hues", "order"),
    [
        (["Red", "Green", "Blue"], [RED, GREEN, BLUE], [0, 1, 2]),
        (["B", "G", "R"], [RED, RED, RED], [2, 1, 0]),
        (["Channel 0", "Channel 1", "Channel 2"], [BLUE, GREEN, RED], [2, 1, 0]),
    ],
)
def test_channels_that_are_red_green_and_blue_are_a_slide(tmp_path, ending, names, hues, order):
    path, pixels = write_channels(tmp_path, ending, names, hues)
    (source,), failures = find_sources([path], SLIDES, Pick())
    prepared = prepare_image(path, SLIDES, tmp_path / "job", source.options)
    assert not failures
    np.testing.assert_array_equal(tifffile.imread(prepared), np.moveaxis(pixels[order], 0, -1))
    (failure,) = find_sources([path], IMAGES, Pick())[1]
    assert f"3 channels, expected one: 0 {names[0]}, 1 {names[1]}" in failure and "give its --channel" in failure


@pytest.mark.parametrize(
    ("names", "dtype"), [(["DAPI", "FITC", "Cy5"], "uint8"), (["Channel 0", "Channel 1", "Channel 2"], "uint16")]
)
def test_channels_of_fluorescence_are_no_slide_unless_somebody_says_so(tmp_path, names, dtype):
    path, pixels = write_channels(tmp_path, ".zarr", names, [RED, GREEN, BLUE], dtype)
    (failure,) = find_sources([path], SLIDES, Pick())[1]
    assert "3 channels, expected red, green and blue: 0 " in failure and "give --channel rgb if they are" in failure
    (source,), _ = find_sources([path], SLIDES, Pick(channel="rgb"))
    prepared = prepare_image(path, SLIDES, tmp_path / "job", source.options)
    np.testing.assert_array_equal(tifffile.imread(prepared), np.moveaxis(pixels, 0, -1))


@pytest.mark.parametrize(
    ("given", "told"), [("0.5,1,2", "its voxels are 2 x 1 x 0.5 um .* by the file itself; --spacing"), ("2,1,0.5", "")]
)
@pytest.mark.parametrize("ending", [".nii", ".tif", ".zarr"])
def test_spacing_that_contradicts_the_file_is_told(tmp_path, caplog, ending, given, told):
    path, volume = tmp_path / f"a{ending}", np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    if ending == ".nii":
        nib.save(nib.Nifti1Image(volume.T, np.diag([0.5, 1, 2, 1])), path)
    elif ending == ".tif":
        ome = {"axes": "ZYX"} | {f"PhysicalSize{axis}": size for axis, size in zip("ZYX", (2, 1, 0.5), strict=True)}
        tifffile.imwrite(tmp_path / "a.ome.tif", volume, metadata=ome)
        path = tmp_path / "a.ome.tif"
    else:
        write_zarr(path, volume[None, None, None], spacing=(2, 1, 0.5))
    prepare_image(path, VOLUMES, tmp_path / "out", {"spacing": given})
    assert re.search(told, caplog.text) if told else not caplog.text


def test_values_that_a_header_scales_stay_as_they_are_with_another_spacing(tmp_path):
    volume = nib.Nifti1Image(np.arange(60, dtype=np.uint16).reshape(3, 4, 5), np.eye(4))
    volume.header.set_slope_inter(2.5, 3)
    nib.save(volume, tmp_path / "a.nii")
    read, respaced = (
        nib.load(prepare_image(tmp_path / "a.nii", VOLUMES, tmp_path / name, options))
        for name, options in (("out", {}), ("respaced", {"spacing": "3,2,1"}))
    )
    np.testing.assert_array_equal(respaced.get_fdata(), read.get_fdata())
    assert respaced.header.get_zooms() == (1, 2, 3)


@pytest.mark.parametrize("read", [read_gray, lambda path: prepare_image(path, IMAGES, path.parent / "a", {}), read])
@pytest.mark.parametrize(
    ("name", "start", "told"),
    [("a.vsi", b"II*\0", "Olympus' VSI, a TIFF of an overview only"), ("a.dcm", bytes(128) + b"DICM", "DICOM, which")],
)
def test_file_of_a_format_that_is_not_read_is_named(tmp_path, read, name, start, told):
    (tmp_path / name).write_bytes(start.ljust(600, b"\0"))
    with pytest.raises(InputError, match=f"{name}: {told}"):
        read(tmp_path / name)
