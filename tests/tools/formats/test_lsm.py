"""Zeiss' LSM and MetaMorph's STK, TIFFs whose size of voxels stands in a tag of its own."""

import struct

import numpy as np
import pytest

from common.errors import InputError
from common.reading import nifti
from common.reading.tiff import read_pixel_size, read_spacing, read_volume
from tests.tools.formats.raw_files import drawn, write_lsm, write_stk
from tools.convert.stacks import tiff
from tools.formats.microscopes import list_images, read
from tools.formats.scenes import Pick


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_spacing_is_the_files_own(tmp_path, channels):
    pixels = drawn(channels=channels, depth=3)
    write_lsm(tmp_path / "a.lsm", pixels)
    image = read(tmp_path / "a.lsm", Pick(channel="0"))
    np.testing.assert_array_equal(image.pixels, pixels[0, 0, 0])
    assert image.axes == "ZYX" and image.spacing == pytest.approx((2.0, 0.5, 0.5))
    assert read_spacing(tmp_path / "a.lsm") == pytest.approx((2.0, 0.5, 0.5))
    assert read_pixel_size(tmp_path / "a.lsm") == pytest.approx((0.5, 0.5))


def test_thumbnails_are_no_second_image(tmp_path):
    """They may be nearly as large as a small image."""
    write_lsm(tmp_path / "a.lsm", drawn(depth=3))
    np.testing.assert_array_equal(read_volume(tmp_path / "a.lsm"), drawn(depth=3)[0, 0, 0])
    assert [suffix for suffix, _ in list_images(tmp_path / "a.lsm")] == [""]


@pytest.mark.parametrize("channels", [2, 3])
@pytest.mark.parametrize("is_old", [False, True])
def test_channels_have_their_names(tmp_path, channels, is_old):
    """Old files of two channels keep the bits of their samples elsewhere, though they would fit in the tag."""
    path, pixels, names = tmp_path / "a.lsm", drawn(channels=channels), ["0 DAPI", "1 GFP", "2 Cy5"][:channels]
    write_lsm(path, pixels)
    if is_old:
        content = path.read_bytes() + struct.pack("<HH", 16, 16)
        bits = struct.pack("<HHIHH", 258, 3, 2, 16, 16)
        path.write_bytes(content.replace(bits, bits[:8] + struct.pack("<I", len(content) - 4)))
    with pytest.raises(InputError, match=f"{channels} channels, expected one: {', '.join(names)}"):
        read(path)
    for number, name in enumerate(["DAPI", "GFP", "Cy5"][:channels]):
        np.testing.assert_array_equal(read(path, Pick(channel=name)).pixels, pixels[0, 0, number, 0])


def test_channels_are_no_colours_whatever_the_file_calls_them(tmp_path):
    write_lsm(tmp_path / "a.lsm", drawn(channels=3), photometric="rgb")
    with pytest.raises(InputError, match="3 channels, expected one: 0 DAPI, 1 GFP, 2 Cy5"):
        read(tmp_path / "a.lsm")


def test_single_slice_has_no_thickness(tmp_path):
    write_lsm(tmp_path / "a.lsm", drawn(), spacing=(0.0, 0.5, 0.5))
    assert read(tmp_path / "a.lsm").spacing == (None, 0.5, 0.5)


def test_converter_takes_it(tmp_path):
    write_lsm(tmp_path / "a.lsm", drawn(depth=3))
    tiff(tmp_path, tmp_path / "data")
    assert nifti.read_spacing(tmp_path / "data" / "images" / "a.nii.gz") == pytest.approx((2.0, 0.5, 0.5))


def test_stack_of_metamorph(tmp_path):
    volume = drawn(depth=4)[0, 0, 0]
    write_stk(tmp_path / "a.stk", volume)
    image = read(tmp_path / "a.stk")
    np.testing.assert_array_equal(image.pixels, volume)
    assert image.spacing == read_spacing(tmp_path / "a.stk") == (2.0, 0.5, 0.5)
    tiff(tmp_path, tmp_path / "out")
    assert nifti.read_spacing(tmp_path / "out/images/a.nii.gz") == (2.0, 0.5, 0.5)
