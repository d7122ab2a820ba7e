"""Images and label maps lie as they do on disk, and what is none is refused with a reason."""

import struct
import zlib

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from common.errors import InputError
from common.reading.picture_transforms import ReadGrayd, ReadLabelsd
from common.reading.pictures import decoded_size, read_gray, read_labels, read_pixels
from common.reading.slides import open_labels
from common.reading.tiff import read_volume

FEW_BITS = pytest.mark.parametrize(  # 0, 1, 2, 3
    ("bits", "row"), [(2, b"\x1b"), (4, b"\x01\x23"), (8, b"\0\1\2\3"), (16, b"\0\0\0\1\0\2\0\3")]
)
RAMP = np.arange(5 * 9).reshape(5, 9)


def png(width: int, bits: int, kind: int, row: bytes, *parts: tuple[bytes, bytes]) -> bytes:
    """A PNG of one row that Pillow cannot write; kind 0 is gray, 2 colours, 3 a palette."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, 1, bits, kind, 0, 0, 0)
    parts = ((b"IHDR", header), *parts, (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def png_of_16_bit_colours() -> bytes:
    return png(1, 16, 2, b"\1\2" * 3)


@pytest.mark.parametrize("suffix", ["png", "tif", "tiff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_values_are_those_of_the_file(write_image, suffix, dtype):
    pixels = (RAMP * (5 if dtype == np.uint8 else 1400)).astype(dtype)
    read = read_gray(write_image(f"a.{suffix}", pixels))
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, pixels)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_colours_that_are_equal_are_gray(write_image, name):
    pixels = RAMP.astype(np.uint8)
    np.testing.assert_array_equal(read_gray(write_image(name, np.stack([pixels] * 3, axis=-1))), pixels)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_png_of_which_a_part_never_came_is_not_taken_for_whole(write_image, part):
    path = write_image("a.png", np.random.default_rng(0).integers(0, 16, (64, 64, 3), np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))].ljust(len(content), b"\0"))
    with pytest.raises(InputError, match=r"a.png: cannot be read \(.*\); it may be damaged"):
        read_pixels(path)


def test_channels_that_lie_one_after_the_other_are_understood(write_image):
    path = write_image("a.tif", np.stack([RAMP.astype(np.uint8)] * 3), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_gray(path), RAMP)


def test_float_image_is_read_unless_it_holds_nan(write_image):
    np.testing.assert_array_equal(read_gray(write_image("a.tif", RAMP.astype(np.float32))), RAMP)
    for number, dtype in ((np.nan, np.float32), (1e300, np.float64)):
        broken = np.where(RAMP == 7, number, RAMP).astype(dtype)
        with pytest.raises(InputError, match=r"b\.tif: NaN or infinite gray values"):
            read_gray(write_image("b.tif", broken))


@pytest.mark.parametrize(("name", "dtype"), [("l.png", np.uint16), ("l.tif", np.uint16), ("l.tif", np.int32)])
def test_labels_are_those_of_the_file(write_image, name, dtype):
    labels = (RAMP * 1000).astype(dtype)
    read = read_labels(write_image(name, labels))
    assert read.dtype == np.int32
    np.testing.assert_array_equal(read, labels)


def test_items_lie_y_x_and_know_their_file(write_image):
    paths = {"image": str(write_image("a.png", RAMP.astype(np.uint8))), "cell_type": "A172"}
    paths["label"] = str(write_image("l.png", RAMP.astype(np.uint16)))
    read = ReadLabelsd("label")(ReadGrayd("image")(paths))
    assert read["cell_type"] == "A172"
    for key, dtype in (("image", torch.float32), ("label", torch.int32)):
        assert (read[key].shape, read[key].dtype) == ((1, 5, 9), dtype)
        assert (read[key].meta["filename_or_obj"], read[key].meta["original_shape"]) == (paths[key], (5, 9))
        np.testing.assert_array_equal(read[key].numpy()[0], RAMP)


def test_labels_of_another_size(write_image):
    item = {
        "image": write_image("a.png", RAMP.astype(np.uint8)),
        "label": write_image("l.png", RAMP.T.astype(np.uint16)),
    }
    with pytest.raises(InputError, match=r"l\.png: 5 x 9 pixels .*, its image .*a\.png has 9 x 5; convert"):
        ReadLabelsd("label")(ReadGrayd("image")(item))


@pytest.mark.parametrize(
    ("name", "pixels", "options", "message"),
    [
        ("a.png", np.stack([RAMP, RAMP, RAMP + 1], axis=-1).astype(np.uint8), {}, "3 channels that differ"),
        ("a.png", np.stack([RAMP] * 4, axis=-1).astype(np.uint8), {}, "4 channels"),
        ("a.png", RAMP > 9, {}, "one bit pixels"),
        ("a.tif", np.stack([RAMP] * 3).astype(np.uint8), {}, "3 pages, expected one image"),
        ("a.tif", RAMP.astype(np.int16), {"photometric": "miniswhite"}, "MINISWHITE pixels of type int16"),
        ("a.tif", RAMP.astype(np.complex64), {}, "type complex64, expected gray values"),
    ],
    ids=["colours", "alpha", "one bit", "stack", "inverted", "complex"],
)
def test_what_is_no_gray_image(write_image, name, pixels, options, message):
    with pytest.raises(InputError, match=rf"{name}: .*{message}"):
        read_gray(write_image(name, pixels, **options))


def test_palette_of_grays_is_gray_and_one_of_colours_is_not(tmp_path):
    picture = Image.fromarray(RAMP.astype(np.uint8)).convert("P")
    picture.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_gray(tmp_path / "p.png"), RAMP)
    picture.putpalette([value for gray in range(256) for value in (gray, 255 - gray, 0)])
    picture.save(tmp_path / "c.png")
    with pytest.raises(InputError, match=r"c\.png: 3 channels that differ"):
        read_gray(tmp_path / "c.png")
    np.testing.assert_array_equal(read_pixels(tmp_path / "c.png")[..., 0], RAMP)


def test_palette_of_a_label_map_only_colours_its_numbers(tmp_path):
    picture = Image.fromarray(RAMP.astype(np.uint8)).convert("P")
    colours = [value for number in range(256) for value in (number, 7 * number % 256, 31 * number % 256)]
    picture.putpalette(colours)
    picture.save(tmp_path / "l.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "l.png"), RAMP)
    picture.putpalette(colours[::-1])
    picture.save(tmp_path / "w.png")
    with pytest.raises(InputError, match=r"w\.png: a palette .* whose first colour is not black"):
        read_labels(tmp_path / "w.png")


@pytest.mark.parametrize(
    ("compression", "arguments", "is_lossy"),
    [
        ("jpeg2000", {}, False),
        ("jpeg2000", {"level": 15, "reversible": False}, True),
        ("jpegxl", {"level": 50}, True),
        ("jpegxr", {"level": 0.2}, True),
        ("lerc", {"level": 2}, True),
    ],
)
def test_labels_that_were_packed_as_pictures_are(tmp_path, compression, arguments, is_lossy):
    labels, path = np.tile(RAMP.astype(np.uint8), (4, 4)), tmp_path / "l.tif"
    tifffile.imwrite(path, labels, photometric="minisblack", compression=compression, compressionargs=arguments)

    def by_windows(path):
        with open_labels(path) as windows:
            return windows.read(0, 0, *labels.shape)

    for read in (read_labels, lambda path: read_volume(path, labels=True)[0], by_windows):
        if not is_lossy:
            np.testing.assert_array_equal(read(path), labels)
            continue
        with pytest.raises(InputError, match=f"l.tif: labels packed as {compression.upper()}, which changes their"):
            read(path)


@pytest.mark.parametrize("name", ["l.jpg", "l.tif"])
def test_jpeg_changes_the_numbers_of_objects(tmp_path, name):
    labels = np.tile(RAMP.astype(np.uint8), (4, 4))
    if name == "l.tif":
        tifffile.imwrite(tmp_path / name, labels, photometric="minisblack", compression="jpeg")
    else:
        Image.fromarray(labels).save(tmp_path / name)
    with pytest.raises(InputError, match=rf"{name}: labels packed as JPEG, which changes their numbers"):
        read_labels(tmp_path / name)
    assert read_gray(tmp_path / name).shape == labels.shape
    if name == "l.tif":
        with pytest.raises(InputError, match="labels packed as JPEG"):
            open_labels(tmp_path / name)


def test_white_for_zero_is_seen_as_it_is_meant(write_image):
    for dtype in (np.uint8, np.uint16):
        path = write_image("w.tif", np.iinfo(dtype).max - RAMP.astype(dtype), photometric="miniswhite")
        np.testing.assert_array_equal(read_gray(path), RAMP)
    with pytest.raises(InputError, match=r"w\.tif: MINISWHITE pixels in a label image"):
        read_labels(path)


def test_opaque_alpha_is_nothing_and_any_other_is_refused(write_image):
    gray, opacity = RAMP.astype(np.uint8), np.full(RAMP.shape, 255, np.uint8)
    for channels in ([gray, opacity], [gray, gray, gray, opacity]):
        np.testing.assert_array_equal(read_gray(write_image("a.png", np.stack(channels, axis=-1))), gray)
        channels[-1] = gray
        with pytest.raises(InputError, match=r"a\.png: \d channels, the last of which makes pixels transparent"):
            read_gray(write_image("a.png", np.stack(channels, axis=-1)))


def test_photograph_is_turned_as_it_is_shown(tmp_path):
    pixels = np.zeros((16, 24), np.uint8)
    pixels[:8, :8] = 240
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter, clockwise
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=95)
    np.testing.assert_allclose(read_gray(tmp_path / "a.jpg"), np.rot90(pixels, -1), atol=9)


def test_ink_becomes_light(tmp_path):
    Image.new("CMYK", (9, 5), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    np.testing.assert_allclose(read_pixels(tmp_path / "a.jpg"), np.broadcast_to((255, 0, 0), (5, 9, 3)), atol=9)


def test_planes_in_one_page_are_no_picture(write_image):
    stack = np.stack([RAMP] * 3).astype(np.uint8)
    path = write_image("a.tif", stack, imagej=True, photometric=None, metadata={"axes": "TYX"}, contiguous=True)
    with pytest.raises(InputError, match=r"a\.tif: 3 (planes in one page|pages), expected one image"):
        read_gray(path)


def test_thumbnail_is_passed_over(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(RAMP.astype(np.uint8), metadata=None)
        writer.write(RAMP[::2, ::2].astype(np.uint8), metadata=None, subfiletype=1)
    np.testing.assert_array_equal(read_gray(tmp_path / "a.tif"), RAMP)


def test_link_to_nothing_says_how_to_fetch_it(tmp_path):
    (tmp_path / "a.png").symlink_to(".git/annex/objects/a.png")
    with pytest.raises(InputError, match=r"a\.png: a link to .git/annex/objects/a.png, .* datalad get"):
        read_gray(tmp_path / "a.png")


def test_colours_of_16_bit(tmp_path):
    (tmp_path / "c.png").write_bytes(png_of_16_bit_colours())
    with pytest.raises(InputError, match=r"c\.png: colours of 16 bit"):
        read_gray(tmp_path / "c.png")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.stack([RAMP] * 3, axis=-1).astype(np.uint8), "3 channels in a label map, expected one"),
        (RAMP.astype(np.float32), "labels of type float32, expected integers"),
        ((RAMP - 3).astype(np.int16), "labels from -3 to 41, expected 0 to"),
    ],
)
def test_what_is_no_label_map(write_image, labels, message):
    with pytest.raises(InputError, match=rf"l\.tif: {message}"):
        read_labels(write_image("l.tif", labels))


@pytest.mark.parametrize(("name", "options"), [("a.png", {}), ("a.tif", {}), ("a.tif", {"compression": "zlib"})])
@pytest.mark.parametrize("num_bytes", [0, 20, 2000])
def test_file_that_is_cut_off(write_image, name, options, num_bytes):
    path = write_image(name, np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8), **options)
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(InputError, match=rf"{name}: (truncated|cannot be read)"):
        read_gray(path)


def test_file_that_is_gone_or_something_else(tmp_path):
    with pytest.raises(InputError, match=r"gone\.png: no such file"):
        read_gray(tmp_path / "gone.png")
    (tmp_path / "text.tif").write_text("no image")
    with pytest.raises(InputError, match=r"text\.tif: cannot be read"):
        read_labels(tmp_path / "text.tif")


@pytest.mark.parametrize("called", ["a.tif", "a.png", "a"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_format_is_told_by_content(tmp_path, called, kind):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(pixels).save(tmp_path / called, format=kind)
    np.testing.assert_array_equal(read_gray(tmp_path / called), pixels)


@pytest.mark.parametrize("labels", [False, True])
def test_palette_is_turned_as_its_camera_was_held(tmp_path, labels):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(RAMP.astype(np.uint8), "P")
    image.putpalette([value for value in range(45) for _ in range(3)])
    image.save(tmp_path / "a.png", exif=exif)
    pixels = read_pixels(tmp_path / "a.png", labels=labels)
    np.testing.assert_array_equal(pixels if labels else pixels[..., 0], np.rot90(RAMP, -1))


def test_mosaic_that_pillow_takes_for_an_attack_is_a_picture(tmp_path):
    Image.new("1", (16000, 12000)).save(tmp_path / "mosaic.png")
    assert decoded_size(tmp_path / "mosaic.png")[0] == 16000 * 12000


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (b"\x89HDF\r\n\x1a\n", "HDF5, such as Imaris' IMS, which is not read; save it as OME-TIFF"),
        (bytes(128) + b"DICM", "DICOM, which is not read; save it as OME-TIFF"),
        (bytes(208) + b"MAP ", "MRC, which is not read"),
        (bytes(344) + b"ni1\0", "NIfTI in two files, which is not read; save it as one, .nii or .nii.gz"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a pointer of Git LFS, .*; fetch the file itself: git lfs pull",
        ),
        (b"\0\0\0\3", "Gatan's DM3, which is not read"),
        (b"<!DOCTYPE html>", "a web page, which is not read; download the file itself"),
    ],
)
@pytest.mark.parametrize("read", [read_gray, read_volume])
def test_file_of_a_format_that_is_not_read_is_named(tmp_path, start, told, read):
    path = tmp_path / "a.tif"
    path.write_bytes(start.ljust(600, b"\0"))
    with pytest.raises(InputError, match=f"a.tif: {told}"):
        read(path)


@pytest.mark.parametrize(("name", "told"), [("a_nuclei.csv", "a table"), ("a_labels.geojson", "outlines or settings")])
def test_what_lies_beside_images_is_told_from_a_damaged_one(tmp_path, name, told):
    (tmp_path / name).write_text("id,y,x\n")
    with pytest.raises(InputError, match=f"{name}: {told}, no image; give the image, or of a result the mask"):
        read_pixels(tmp_path / name)


@FEW_BITS
@pytest.mark.parametrize("parts", [(), ((b"tRNS", b"\0\0"),)])
def test_labels_of_few_bits_keep_their_numbers(tmp_path, bits, row, parts):
    path = tmp_path / "a.png"
    path.write_bytes(png(4, bits, 0, row, *parts))
    assert read_labels(path).tolist() == [[0, 1, 2, 3]]
    if bits < 16:
        path.write_bytes(png(4, bits, 3, row, (b"PLTE", bytes(12)), *parts))
        assert read_labels(path).tolist() == [[0, 1, 2, 3]]


@FEW_BITS
def test_gray_of_which_one_is_see_through_is_as_with_alpha(tmp_path, bits, row):
    path, plain = tmp_path / "a.png", tmp_path / "plain.png"
    plain.write_bytes(png(4, bits, 0, row))
    path.write_bytes(png(4, bits, 0, row, (b"tRNS", b"\0\2")))
    pixels = read_pixels(path)
    np.testing.assert_array_equal(pixels[..., 0], read_gray(plain))
    assert (pixels[0, :, 1] > 0).tolist() == [True, True, False, True]
    with pytest.raises(InputError, match="transparent"):
        read_gray(path)
    path.write_bytes(png(4, 8, 0, b"\0\1\2\3", (b"tRNS", b"\0\7")))
    assert read_gray(path).tolist() == [[0, 1, 2, 3]]  # of which no pixel is
