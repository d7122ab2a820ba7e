"""A gray stack is read as (Z, Y, X) however it was written; anything else is refused."""

import numpy as np
import pytest
import tifffile

from common.errors import InputError
from common.reading.tiff import read_header, read_volume


@pytest.mark.parametrize("num_slices", [1, 2, 3, 4, 7])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"ome": True, "metadata": {"axes": "ZYX"}},
        {"metadata": None},
        {"bigtiff": True, "byteorder": ">"},
        {"volumetric": True, "tile": (4, 16, 16)},
    ],
    ids=str,
)
def test_stack_of_slices_is_a_volume(put, ramp, num_slices, options):
    volume = ramp((num_slices, 6, 5))
    path = put("stack.tif", volume, **options)
    assert (read_header(path).shape, read_header(path).dtype) == (volume.shape, volume.dtype)
    np.testing.assert_array_equal(read_volume(path), volume)


def test_stack_written_page_by_page_keeps_all_its_slices(tmp_path, ramp):
    with tifffile.TiffWriter(tmp_path / "stack.tif") as writer:
        for plane in ramp():
            writer.write(plane)
    np.testing.assert_array_equal(read_volume(tmp_path / "stack.tif"), ramp())


def test_three_columns_are_not_three_samples(put, ramp):
    path = put("narrow.tif", ramp((4, 6, 3)))
    np.testing.assert_array_equal(read_volume(path), ramp((4, 6, 3)))


@pytest.mark.parametrize("shape", [(6, 5, 3), (3, 6, 5), (6, 5, 4), (2, 6, 5, 3)])
def test_colour_is_not_a_stack(put, ramp, shape):
    with pytest.raises(InputError, match=r"\d samples per pixel \(RGB\), expected one gray value"):
        read_header(put("colour.tif", ramp(shape, "uint8"), photometric="rgb"))


@pytest.mark.parametrize(("shape", "axes"), [((2, 6, 5), "CYX"), ((4, 2, 6, 5), "ZCYX")])
def test_channels_are_not_slices(put, ramp, shape, axes):
    with pytest.raises(InputError, match=f"axes {axes} .* expected one channel"):
        read_header(put("channels.tif", ramp(shape), imagej=True, metadata={"axes": axes}))


def test_film_in_one_file_is_not_a_volume(put, ramp):
    with pytest.raises(InputError, match=r"expected \(Y, X\) or \(Z, Y, X\); one file per frame"):
        read_header(put("film.tif", ramp((2, 4, 6, 5)), imagej=True, metadata={"axes": "TZYX"}))


def test_pages_of_different_shapes(tmp_path):
    with tifffile.TiffWriter(tmp_path / "odd.tif") as writer:
        writer.write(np.zeros((6, 5), np.uint8))
        writer.write(np.zeros((3, 2), np.uint8))
    with pytest.raises(InputError, match="pages of different shapes"):
        read_header(tmp_path / "odd.tif")


@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"imagej": True, "metadata": {"axes": "ZYX"}}], ids=str
)
def test_every_cut_through_the_pixels_is_noticed(put, ramp, options):
    path = put("stack.tif", ramp((4, 16, 16)), **options)
    content = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        end = max(a + n for page in tiff.pages for a, n in zip(page.dataoffsets, page.databytecounts, strict=True))
    for size in range(0, end, 97):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match="truncated|cannot be read as TIFF"):
            read_header(path)


def test_text_is_not_a_tiff(tmp_path):
    (tmp_path / "notes.tif").write_text("not an image")
    with pytest.raises(InputError, match="notes.tif: cannot be read as TIFF"):
        read_header(tmp_path / "notes.tif")
