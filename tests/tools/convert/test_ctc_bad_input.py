"""Every kind of bad Cell Tracking Challenge input ends in one clear message, and never in a new dataset.json."""

import numpy as np
import pytest

from common.errors import InputError
from tools.convert.ctc import ctc as convert_ctc

VOLUME = np.arange(4 * 6 * 5, dtype=np.uint16).reshape(4, 6, 5)


@pytest.fixture
def refuses(refusal, convert):
    """Function that converts and expects an error."""
    return refusal(convert)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (
            {"01_GT/SEG/man_seg004.tif": VOLUME},
            "man_seg004.tif: truth of frame 4 that has no image in .*01; add",
        ),
        ({"01_GT/SEG/man_seg_004_001.tif": VOLUME}, "man_seg_004_001.tif: truth of frame 4 that has no image"),
        ({"01_ST/SEG/man_seg004.tif": VOLUME}, "01_ST/SEG/man_seg004.tif: truth of frame 4 that has no image"),
        (
            {"01_GT/TRA/man_track004.tif": VOLUME},
            "man_track004.tif: truth of frame 4 .*; add t004.tif",
        ),
        ({"02_GT/SEG/man_seg000.tif": VOLUME}, "02_GT: truth without its sequence folder 02"),
        ({"02_ST/SEG/man_seg000.tif": VOLUME}, "02_ST: truth without its sequence folder 02"),
        ({"01/t0000.tif": VOLUME}, r"same frame as t000\d?.tif; keep one of the two"),
        (
            {"01_GT/SEG/man_seg001.tif": VOLUME.reshape(4, 5, 6)},
            r"man_seg001.tif: shape \(4, 5, 6\), expected \(4, 6, 5\) as in .*t001.tif; export both on one pixel grid",
        ),
        (
            {"01_GT/TRA/man_track001.tif": VOLUME.reshape(4, 5, 6)},
            r"man_track001.tif: shape \(4, 5, 6\), expected",
        ),
        (
            {"02/t000.tif": VOLUME, "02_GT/SEG/man_seg_000_001.tif": VOLUME[0].T},
            r"\(1, 5, 6\), expected \(1, 6, 5\)",
        ),
        (
            {"02/t000.tif": VOLUME, "02_GT/SEG/man_seg_000_004.tif": VOLUME[0]},
            "slice 4, but .* has 4 slices, counted",
        ),
        ({"01/t001.tif": VOLUME.astype(np.complex64)}, "t001.tif: pixels are complex64, expected 8, 16 or 32 bit gray"),
        (
            {"01_GT/SEG/man_seg000.tif": VOLUME.astype(np.float32)},
            "labels are float32, expected integers",
        ),
    ],
)
def test_files_that_do_not_fit_together(sequence, put, refuses, files, reason):
    sequence(frames=(0, 1))
    for name, pixels in files.items():
        put(name, pixels)
    refuses(reason)


def test_no_sequence_at_all(put, ramp, refuses):
    put("t000.tif", ramp())
    refuses("source: no sequence folder found, expected 01, 02, ... right inside it")


def test_sequence_without_images(sequence, refuses, tmp_path):
    sequence("01")
    (tmp_path / "source" / "02").mkdir()
    refuses("02: no image found, expected t000.tif")


def test_colour_image(sequence, put, refuses):
    sequence(frames=(0, 1))
    put("01/t001.tif", np.zeros((6, 5, 3), np.uint8), photometric="rgb")
    refuses(r"t001.tif: 3 samples per pixel \(RGB\), expected one gray value; export a single channel")


def test_truncated_image(sequence, refuses, tmp_path):
    sequence(frames=(0, 1))
    path = tmp_path / "source/01/t001.tif"
    path.write_bytes(path.read_bytes()[:400])
    refuses("t001.tif: truncated, 400 bytes found, pixels reach to byte")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_image_that_is_not_finite(sequence, put, ramp, refuses, value):
    sequence()
    image = ramp(dtype="float64")
    image[1, 2, 3] = value
    put("01/t001.tif", image)
    refuses("t001.tif: 1 voxels are NaN, infinite or beyond 32 bit")


@pytest.mark.parametrize(("dtype", "value"), [("int16", -1), ("uint32", 2**31)])
def test_ids_out_of_range(sequence, put, ramp, refuses, dtype, value):
    sequence()
    ids = ramp(dtype=dtype)
    ids[0, 0, 0] = value
    put("01_GT/SEG/man_seg000.tif", ids)
    refuses(r"man_seg000.tif: ids from .* expected 0 to 2147483647")


def test_pixels_that_cannot_be_decoded(sequence, put, refuses):
    sequence()
    noise = np.random.default_rng(0).integers(0, 9, (64, 64)).astype(np.uint16)
    path = put("01/t001.tif", noise, compression="zlib")
    content = bytearray(path.read_bytes())
    content[-600:-300] = b"\xff" * 300
    path.write_bytes(content)
    refuses("t001.tif: pixels cannot be decoded")


def test_earlier_dataset_stays_as_it_was_after_a_failed_run(sequence, put, tmp_path):
    sequence()
    convert_ctc(tmp_path / "source", tmp_path / "out", spacing=(2, 1, 1))
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    put("01/t001.tif", np.full((4, 6, 5), np.nan, np.float32))
    with pytest.raises(InputError, match=r"t001.tif: 120 voxels are NaN"):
        convert_ctc(tmp_path / "source", tmp_path / "out", spacing=(2, 1, 1))
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"folds": 0}, "0 folds, expected at least 1"), ({"test": ["05"]}, "--test 05: no such sequence; there are 01")],
)
def test_options_that_do_not_fit(sequence, refuses, options, reason):
    sequence()
    refuses(reason, **options)


def test_the_image_in_the_place_of_its_truth(sequence, put, refuses):
    sequence(frames=(0,))
    put("01_GT/SEG/man_seg000.tif", VOLUME % 7)
    refuses("man_seg000.tif: its 7 labels lie in .* pieces, as the gray values of a picture do")


def test_objects_without_a_number_of_their_own_are_told(sequence, put, convert, caplog):
    sequence(frames=(0,))
    mask = np.zeros((4, 6, 5), np.uint8)
    mask[:, ::2, ::2] = 255
    put("01_GT/SEG/man_seg000.tif", mask)
    convert()
    assert "man_seg000.tif: 1 numbers lie in 9 pieces; if these are objects" in caplog.text


def test_a_sequence_that_is_a_copy_of_another_one_is_told(sequence, put, convert, caplog):
    sequence(frames=(0,))
    put("02/t000.tif", VOLUME + 7)
    convert()
    assert "the same image" not in caplog.text
    put("03/t000.tif", VOLUME + 7)
    convert()
    assert "03/t000.tif: the same image as" in caplog.text
