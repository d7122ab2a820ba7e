"""JPEG 2000 is read as it was written, or refused in words; never taken for an ND2."""

import struct

import imagecodecs
import numpy as np
import pytest

from common.errors import InputError
from common.reading import pictures
from common.reading.formats import identify
from common.reading.jpeg2000 import check_jpeg2000
from common.reading.pictures import read_gray, read_labels, read_pixels

RANDOM = np.random.default_rng(0)
GRAY, COLOURS = RANDOM.integers(0, 256, (9, 7)).astype(np.uint8), RANDOM.integers(0, 256, (9, 7, 3)).astype(np.uint8)


def encoded(pixels, kind="jp2", **options):
    return imagecodecs.jpeg2k_encode(pixels, reversible=True, level=0, codecformat=kind, **options)


def write(tmp_path, pixels, kind="jp2", **options):
    path = tmp_path / f"a.{kind}"
    path.write_bytes(encoded(pixels, kind, **options))
    return path


@pytest.mark.parametrize("kind", ["jp2", "j2k"])
@pytest.mark.parametrize(
    ("pixels", "options"),
    [
        (GRAY, {}),
        (GRAY.astype(np.uint16) * 257, {}),
        (GRAY.astype(np.uint16) * 16, {"bitspersample": 12}),  # as stored, not stretched
        (COLOURS, {}),
        (COLOURS.astype(np.uint16) * 257, {}),
        (np.dstack([COLOURS, GRAY]), {}),
    ],
    ids=["8 bit", "16 bit", "12 bit", "RGB", "RGB of 16 bit", "RGBA"],
)
def test_what_is_read_is_what_was_written(tmp_path, kind, pixels, options):
    path = write(tmp_path, pixels, kind, **options)
    assert identify(path) == "jp2"
    found = read_pixels(path)
    np.testing.assert_array_equal(found, pixels)
    assert pictures.decoded_size(path) == (found.size, found.nbytes)


def test_gray_and_labels(tmp_path):
    path = write(tmp_path, GRAY)
    np.testing.assert_array_equal(read_gray(path), GRAY)
    np.testing.assert_array_equal(read_labels(path), GRAY)


def test_signed_numbers_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"a.jp2: signed numbers of 16 bits, expected unsigned ones of up to 16"):
        read_pixels(write(tmp_path, GRAY.astype(np.int16) - 99))


def changed(content, where, new):
    return content[:where] + new + content[where + len(new) :]


@pytest.mark.parametrize(
    ("mark", "after", "new", "refusal"),
    [
        (b"colr", 7, struct.pack(">I", 12), "colours of kind 12, expected gray or RGB"),
        (b"colr", 4, b"\1\0\0" + struct.pack(">I", 18), "colours of kind 18, expected gray or RGB"),
        (b"ihdr", 0, b"pclr", "a palette, expected gray or RGB"),
        (b"\xff\x51", 6, struct.pack(">II", 60_000, 60_000), "bytes are 3600000000 pixels"),
        (b"\xff\x51", 22, struct.pack(">II", 1, 1), r"bytes are 63 tiles"),
        (b"\xff\x51", 6, struct.pack(">II", 0, 0), "0 x 0 pixels of 3 samples"),
        (b"\xff\x51", 41, b"\2", "samples of different sizes"),
        (b"jp2c", 0, b"free", "0 images in one file"),
        (b"jp2h", -4, struct.pack(">I", 9999), "truncated"),
    ],
)
def test_header_that_is_of_something_else_is_refused(tmp_path, mark, after, new, refusal):
    content = encoded(COLOURS)
    path = tmp_path / "a.jp2"
    path.write_bytes(changed(content, content.index(mark) + after, new))
    with pytest.raises(InputError, match=f"a.jp2: .*{refusal}"):
        check_jpeg2000(path)
    with pytest.raises(InputError, match=f"a.jp2: .*{refusal}"):
        read_pixels(path)


def test_several_images_are_refused(tmp_path):
    content = encoded(GRAY)
    start = content.index(b"jp2c") - 4
    content = changed(content, start, struct.pack(">I", len(content) - start))
    (tmp_path / "a.jp2").write_bytes(content + content[start:])
    with pytest.raises(InputError, match="a.jp2: 2 images in one file, expected one"):
        read_pixels(tmp_path / "a.jp2")


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_file_that_was_cut_off_is_refused(tmp_path, part):
    path = write(tmp_path, RANDOM.integers(0, 256, (64, 64)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(InputError, match=r"a.jp2: .*(truncated|cannot be read)"):
        read_pixels(path)
