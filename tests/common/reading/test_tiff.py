"""A gray stack is read as (Z, Y, X) however it was written; anything else is refused."""

import struct

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError
from common.reading.slides import open_labels
from common.reading.tiff import read_header, read_picture, read_pixel_size, read_volume
from common.reading.windows import TiffWindows
from tools.formats.microscopes import read


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


@pytest.mark.parametrize("axes", ["RYX", "PYX", "MYX", "HYX"])
def test_positions_are_not_slices(put, ramp, axes):
    with pytest.raises(InputError, match=f"axes {axes} .* expected one position"):
        read_header(put("positions.tif", ramp((2, 6, 5)), metadata={"axes": axes}))


@pytest.mark.parametrize(("shape", "axes"), [((2, 6, 5), "CYX"), ((4, 2, 6, 5), "ZCYX")])
def test_channels_are_not_slices(put, ramp, shape, axes):
    with pytest.raises(InputError, match=f"axes {axes} .* expected one channel"):
        read_header(put("channels.tif", ramp(shape), imagej=True, metadata={"axes": axes}))


def test_film_in_one_file_is_not_a_volume(put, ramp):
    with pytest.raises(InputError, match=r"expected \(Y, X\) or \(Z, Y, X\); one file per frame"):
        read_header(put("film.tif", ramp((2, 4, 6, 5)), imagej=True, metadata={"axes": "TZYX"}))


def test_film_of_single_planes_is_taken_for_a_stack_aloud(put, ramp, caplog):
    for axes in ("ZYX", "TYX"):
        np.testing.assert_array_equal(read_volume(put("film.ome.tif", ramp(), metadata={"axes": axes})), ramp())
    (record,) = caplog.records
    assert f"film.ome.tif: its {len(ramp())} time points are taken for the slices of one volume" in record.getMessage()


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


@pytest.mark.parametrize("order", ["ZYX", "YXZ", "XZY", "YZX"])
def test_axes_are_told_by_their_names(put, ramp, order):
    volume = ramp((4, 6, 5))
    path = put("a.tif", volume.transpose(["ZYX".index(axis) for axis in order]).copy(), metadata={"axes": order})
    assert read_header(path).shape == (4, 6, 5)
    np.testing.assert_array_equal(read_volume(path), volume)


def test_pages_whose_palettes_differ_are_no_slices(ramp, tmp_path):
    palette = np.stack([np.arange(256, dtype=np.uint16) * 257] * 3)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for colormap in (palette, palette[:, ::-1]):
            writer.write(ramp((8, 9)).astype(np.uint8), photometric="palette", colormap=colormap, metadata=None)
    with pytest.raises(InputError, match=r"a.tif: pages that are black, white or .*, not all alike; export all alike"):
        read_volume(tmp_path / "a.tif")


def test_two_volumes_in_one_file_are_not_one(put, ramp, tmp_path):
    with tifffile.TiffWriter(tmp_path / "two.tif") as writer:
        writer.write(ramp(), photometric="minisblack")
        writer.write(ramp(), photometric="minisblack")
    with pytest.raises(InputError, match="two.tif: 2 images in one file"):
        read_volume(tmp_path / "two.tif")


def test_one_plane_of_a_set_of_files_is_its_own(tmp_path, ramp):
    planes = ramp((3, 6, 5))
    data = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="p{z}.ome.tif">urn:uuid:{z}</UUID></TiffData>'
        for z in range(3)
    )
    for z, plane in enumerate(planes):
        about = (
            f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{z}">'
            '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="5" SizeY="6" '
            f'SizeZ="3" SizeC="1" SizeT="1">{data}</Pixels></Image></OME>'
        )
        tifffile.imwrite(tmp_path / f"p{z}.ome.tif", plane, description=about, metadata=None)
    for z, plane in enumerate(planes):
        np.testing.assert_array_equal(read_volume(tmp_path / f"p{z}.ome.tif"), plane[None])
        np.testing.assert_array_equal(read_picture(tmp_path / f"p{z}.ome.tif"), plane)


def test_palette_of_grays_is_gray_one_of_colours_is_refused_and_in_labels_only_colours(put, ramp):
    volume = ramp((2, 6, 5), "uint8")
    grays = np.tile(np.arange(256, dtype=np.uint16)[::-1] * 257, (3, 1))
    np.testing.assert_array_equal(
        read_volume(put("gray.tif", volume, photometric="palette", colormap=grays)), 255 - volume
    )
    colours = np.stack([grays[0], grays[0][::-1], grays[0]])
    path = put("colours.tif", volume, photometric="palette", colormap=colours)
    with pytest.raises(InputError, match="colours.tif: a palette of colours, expected one gray value"):
        read_volume(path)
    np.testing.assert_array_equal(read_volume(path, labels=True), volume)


@pytest.mark.parametrize("hue", [(0, 257, 0), (257, 128, 0), (257, 257, 0)])
def test_palette_of_one_hue_as_fiji_gives_channels_is_gray(put, ramp, hue):
    volume = ramp((2, 6, 5), "uint8")
    options = {"photometric": "palette", "colormap": np.outer(hue, np.arange(256)).astype(np.uint16)}
    np.testing.assert_array_equal(read_volume(put("green.tif", volume, **options)), volume)
    np.testing.assert_array_equal(read_picture(put("one.tif", volume[0], **options)), volume[0])


OLYMPUS = struct.pack("<4s6x5h6x32sH", b"SIS0", 0, 0, 1, 0, 100, b"a", 1) + struct.pack("<hhI", 1, 1, 0)
ELECTRONS = {
    "FEI": (34682, b"[Scan]\r\nPixelWidth=8e-09\r\nPixelHeight=9e-09\r\n", (0.009, 0.008)),
    "Zeiss": (34118, b"AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 8 nm\r\n", (0.008, 0.008)),
    "Olympus": (33560, OLYMPUS + struct.pack("<10xhdd8xd2x34s32s", -9, 8.0, 9.0, 1.0, b"", b""), (0.009, 0.008)),
}


@pytest.mark.parametrize("maker", ELECTRONS)
def test_electron_microscopes_tell_the_size_of_pixels_in_tags_of_their_own(put, ramp, maker):
    tag, content, expected = ELECTRONS[maker]
    path = put("em.tif", ramp((64, 64), "uint8"), extratags=[(tag, 7, len(content), content, True)], metadata=None)
    written = path.read_bytes()
    place = struct.pack("<I", written.find(content) + len(OLYMPUS))
    path.write_bytes(written.replace(OLYMPUS, OLYMPUS[:-4] + place))
    assert read_pixel_size(path) == pytest.approx(expected)


@pytest.mark.parametrize("num_colours", [1, 2])
def test_palette_of_two_colours_has_pixels_of_one_bit(put, num_colours):
    mask = np.arange(30).reshape(5, 6) % 3 == 0
    told = (0, 65535, 0, 0, 0, 0) if num_colours == 2 else (0, 0, 0)
    path = put("mask.tif", mask, photometric="minisblack", extratags=[(320, "H", 3 * num_colours, told, True)])
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags["PhotometricInterpretation"].overwrite(3)
    if num_colours == 2:
        np.testing.assert_array_equal(read_picture(path), mask * 255)
        return
    with pytest.raises(InputError, match="mask.tif: uint8 pixels beyond the 1 colours of its palette"):
        read_volume(path)


containers = st.sampled_from(["plain", "imagej", "ome", "pages"])
compressions = st.sampled_from([None, "zlib", "lzw", "packbits", "zstd"])
dtypes = st.sampled_from(["uint8", "uint16", "float32"])
shapes = st.tuples(st.integers(1, 5), st.integers(2, 9), st.integers(2, 9))
whites = st.sampled_from(["minisblack", "miniswhite"])


@given(containers, compressions, dtypes, shapes, whites, st.sampled_from("<>"), st.booleans())
def test_what_is_read_is_what_was_written(
    tmp_path_factory, container, compression, dtype, shape, photometric, byteorder, tiled
):
    volume = np.random.default_rng(sum(shape)).integers(0, 256, shape).astype(dtype)
    path = tmp_path_factory.mktemp("written") / "a.tif"
    options = {"compression": compression, "photometric": photometric, "tile": (16, 16) if tiled else None}
    if container == "imagej":
        tifffile.imwrite(path, volume, imagej=True, compression=compression, metadata={"axes": "ZYX"})
    elif container == "pages":
        with tifffile.TiffWriter(path, byteorder=byteorder) as writer:
            for plane in volume:
                writer.write(plane, contiguous=False, metadata=None, **options)
    else:
        about = {"ome": True, "metadata": {"axes": "ZYX"}} if container == "ome" else {}
        tifffile.imwrite(path, volume, byteorder=byteorder, **options, **about)
    if container == "imagej" or photometric == "minisblack":
        np.testing.assert_array_equal(read_volume(path), volume)
    elif dtype == "float32":
        with pytest.raises(InputError, match="MINISWHITE pixels of type float32"):
            read_volume(path)
    else:
        np.testing.assert_array_equal(read_volume(path), np.iinfo(dtype).max - volume)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("read", [read_header, read_volume, read_picture, TiffWindows])
def test_image_that_some_programs_turn_and_others_do_not_is_refused(put, ramp, read, orientation):
    path = put("turned.tif", ramp((1, 6, 5)), extratags=[(274, "H", 1, orientation, True)])
    with pytest.raises(InputError, match=rf"turned.tif: .*orientation {orientation}.*turn it upright"):
        read(path)


@pytest.mark.parametrize("read", [read_header, read_volume])
@pytest.mark.parametrize("is_smaller", [False, True])
def test_page_that_is_to_be_turned_is_refused_wherever_it_stands(tmp_path, ramp, read, is_smaller):
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=is_smaller) as writer:
        for orientation, plane in zip((1, 6), ramp((2, 64, 64)), strict=True):
            step, kind = (8, 1) if is_smaller and orientation > 1 else (1, 0)
            options = {"metadata": None, "contiguous": False, "photometric": "minisblack", "subfiletype": kind}
            writer.write(plane[::step, ::step], extratags=[(274, "H", 1, orientation, True)], **options)
    if is_smaller:
        read(tmp_path / "a.tif")
        return
    with pytest.raises(InputError, match=r"a.tif: .*orientation 6.*turn it upright"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("orientation", [0, 1, 9])
def test_image_that_is_upright_or_whose_orientation_means_nothing(put, ramp, orientation):
    path = put("upright.tif", ramp((1, 6, 5)), extratags=[(274, "H", 1, orientation, True)])
    np.testing.assert_array_equal(read_volume(path), ramp((1, 6, 5)))


@pytest.mark.parametrize("num_samples", [2, 3, 4])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_channels_that_are_samples_are_neither_colours_nor_alpha(put, ramp, num_samples, planar):
    shape = (6, 5, num_samples) if planar == "contig" else (num_samples, 6, 5)
    path = put("samples.tif", ramp(shape), planarconfig=planar, photometric="minisblack", metadata=None)
    with pytest.raises(InputError, match=rf"samples.tif: {num_samples} samples per pixel \(MINISBLACK\), which are c"):
        read_picture(path)


def test_gray_with_alpha(put, ramp):
    path = put("alpha.tif", ramp((6, 5, 2), "uint8"), planarconfig="contig", extrasamples=["unassalpha"], metadata=None)
    np.testing.assert_array_equal(read_picture(path), ramp((6, 5, 2), "uint8"))


def read_window(path):
    with TiffWindows(path) as image:
        return image.read(0, 0, 64, 64)


@pytest.mark.parametrize("read", [read_picture, read_window])
@pytest.mark.parametrize("compression", ["zlib", "lzw", "zstd", "packbits", "jpeg", "jpeg2000", "webp"])
def test_strip_that_breaks_off_is_refused_whatever_packs_it(put, read, compression):
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = put("a.tif", pixels, photometric="rgb", compression=compression, rowsperstrip=32)
    read(path)
    with tifffile.TiffFile(path) as tiff:
        counts = tiff.pages.first.tags["StripByteCounts"]
        place, count = counts.valueoffset, counts.value[0]
    content = bytearray(path.read_bytes())
    content[place : place + 4] = (count // 2).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(InputError, match="a.tif: pixels cannot be decoded"):
        read(path)


SIGNED = "ImageJ=1.54f\nimages=3\nslices=3\nunit=\\u00B5m\nspacing=2.0\ncf=0\nc0={}\nc1=1.0\nvunit=gray value\n"


def test_sign_that_imagej_keeps_in_the_calibration(tmp_path):
    """Fiji opens 16 bit with a sign, shows its values as they were, and saves them 32768 higher."""
    values = np.arange(-10, 80, dtype=np.int16).reshape(3, 6, 5)
    path, options = tmp_path / "a.tif", {"metadata": None, "photometric": "minisblack"}
    tifffile.imwrite(
        path, (values.astype(int) + 32768).astype(np.uint16), description=SIGNED.format(-32768.0), **options
    )
    for found in (read_volume(path), read_volume(path, labels=True), read(path).pixels):
        np.testing.assert_array_equal(found, values, strict=True)
    assert read_header(path).dtype == np.int16
    tifffile.imwrite(path, (values + 10).astype(np.uint16), description=SIGNED.format(-10.0), **options)
    np.testing.assert_array_equal(read_volume(path), values + 10)  # which has no other range, only a scale
    tifffile.imwrite(path, np.full((6, 5), 32768, np.uint16), description=SIGNED.format(-32768.0), **options)
    with pytest.raises(InputError, match="expected one integer with black for zero"):
        open_labels(path)
