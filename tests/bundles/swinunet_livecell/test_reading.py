"""Images and label maps lie as they do on disk, and what is none is refused with a reason."""

import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from swinunet_livecell.common.errors import InputError
from swinunet_livecell.reading import ReadGrayd, ReadLabelsd, read_gray, read_labels

RAMP = np.arange(5 * 9).reshape(5, 9)


def png_of_16_bit_colours() -> bytes:
    """A PNG that Pillow cannot write: one pixel of three times 16 bit."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" + b"\1\2" * 3)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("suffix", ["png", "tif", "tiff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_values_are_those_of_the_file(write_image, suffix, dtype):
    pixels = (RAMP * (5 if dtype == np.uint8 else 1400)).astype(dtype)
    read = read_gray(write_image(f"a.{suffix}", pixels))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, pixels)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_colours_that_are_equal_are_gray(write_image, name):
    pixels = RAMP.astype(np.uint8)
    np.testing.assert_array_equal(read_gray(write_image(name, np.stack([pixels] * 3, axis=-1))), pixels)


def test_channels_that_lie_one_after_the_other_are_understood(write_image):
    path = write_image("a.tif", np.stack([RAMP.astype(np.uint8)] * 3), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_gray(path), RAMP)


def test_float_image_is_read_unless_it_holds_nan(write_image):
    np.testing.assert_array_equal(read_gray(write_image("a.tif", RAMP.astype(np.float32))), RAMP)
    broken = np.where(RAMP == 7, np.nan, RAMP).astype(np.float32)
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
        ("a.tif", RAMP.astype(np.uint8), {"photometric": "miniswhite"}, "MINISWHITE pixels, expected gray from black"),
        ("a.tif", RAMP.astype(np.complex64), {}, "type complex64, expected gray values"),
    ],
    ids=["colours", "alpha", "one bit", "stack", "inverted", "complex"],
)
def test_what_is_no_gray_image(write_image, name, pixels, options, message):
    with pytest.raises(InputError, match=rf"{name}: .*{message}"):
        read_gray(write_image(name, pixels, **options))


def test_palette_and_colours_of_16_bit(write_image, tmp_path):
    Image.fromarray(RAMP.astype(np.uint8)).convert("P").save(tmp_path / "p.png")
    with pytest.raises(InputError, match=r"p\.png: palette"):
        read_gray(tmp_path / "p.png")
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
