"""Every kind of bad Cell Tracking Challenge input ends in one clear message, and never in a dataset.json."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import InputError
from tools.convert.ctc import ctc as convert_ctc


@pytest.fixture
def refuses(refusal, convert):
    """Function that converts and expects an error."""
    return refusal(convert)


def test_source_that_does_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder, expected a Cell Tracking Challenge dataset"):
        convert_ctc(tmp_path / "nowhere", tmp_path / "out", spacing=(2, 1, 1))


def test_no_sequence_at_all(put, ramp, refuses):
    put("t000.tif", ramp())
    refuses("source: no sequence folder found, expected 01, 02, ... right inside it")


@pytest.mark.parametrize("truth", ["01_GT", "01_ST"])
def test_truth_without_its_sequence_folder(put, sequence, ramp, refuses, truth):
    sequence("02")
    put(f"{truth}/SEG/man_seg000.tif", ramp())
    refuses(f"{truth}: truth without its sequence folder 01")


def test_sequence_without_images(sequence, refuses, tmp_path):
    sequence("01")
    (tmp_path / "source" / "02").mkdir()
    refuses("02: no image found, expected t000.tif")


def test_test_sequence_that_is_not_there(sequence, refuses):
    sequence("01")
    refuses("--test 05: no such sequence; there are 01", test=["05"])


@pytest.mark.parametrize(
    "name",
    [
        "01_GT/SEG/man_seg004.tif",
        "01_GT/SEG/man_seg_004_001.tif",
        "01_ST/SEG/man_seg004.tif",
        "01_GT/TRA/man_track004.tif",
    ],
)
def test_truth_of_a_frame_without_an_image(sequence, put, ramp, refuses, name):
    sequence(frames=(0, 1))
    put(name, ramp())
    refuses(rf"{name}: truth of frame 4 that has no image in .*01; add t004.tif")


def test_two_images_of_one_frame(sequence, put, ramp, refuses):
    sequence()
    put("01/t0000.tif", ramp())
    refuses(r"same frame as t000\d?.tif; keep one of the two")


@pytest.mark.parametrize("name", ["01_GT/SEG/man_seg001.tif", "01_GT/TRA/man_track001.tif"])
def test_truth_of_another_shape(sequence, put, ramp, refuses, name):
    sequence(frames=(0, 1))
    put(name, ramp((4, 5, 6)))
    refuses(rf"{name}: shape \(4, 5, 6\), expected \(4, 6, 5\) as in .*t001.tif; export both on one pixel grid")


def test_slice_of_another_shape(put, ramp, refuses):
    put("01/t000.tif", ramp())
    put("01_GT/SEG/man_seg_000_001.tif", ramp((5, 6)))
    refuses(r"man_seg_000_001.tif: shape \(1, 5, 6\), expected \(1, 6, 5\)")


def test_slice_outside_its_volume(put, ramp, refuses):
    put("01/t000.tif", ramp())
    put("01_GT/SEG/man_seg_000_004.tif", ramp((6, 5)))
    refuses("man_seg_000_004.tif: slice 4, but .*t000.tif has 4 slices, counted from 0")


def test_colour_image(sequence, put, refuses):
    sequence(frames=(0, 1))
    put("01/t001.tif", np.zeros((6, 5, 3), np.uint8), photometric="rgb")
    refuses(r"t001.tif: 3 samples per pixel \(RGB\), expected one gray value; export a single channel")


def test_truncated_image(sequence, refuses, tmp_path):
    sequence(frames=(0, 1))
    path = tmp_path / "source/01/t001.tif"
    path.write_bytes(path.read_bytes()[:400])
    refuses("t001.tif: truncated, 400 bytes found, pixels reach to byte")


def test_complex_image(put, ramp, refuses):
    put("01/t000.tif", ramp(dtype="complex64"))
    refuses("t000.tif: pixels are complex64, expected 8, 16 or 32 bit gray")


def test_truth_with_fractions(sequence, put, ramp, refuses):
    sequence()
    put("01_GT/SEG/man_seg000.tif", ramp(dtype="float32"))
    refuses("man_seg000.tif: labels are float32, expected integers; export one whole number per object")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_image_that_is_not_finite(sequence, put, ramp, refuses, value):
    sequence()
    image = ramp(dtype="float64")
    image[1, 2, 3] = value
    put("01/t001.tif", image)
    refuses("t001.tif: 1 voxels are NaN, infinite or beyond 32 bit", in_pixels=True)


@pytest.mark.parametrize(("dtype", "value"), [("int16", -1), ("uint32", 2**31)])
def test_ids_out_of_range(sequence, put, ramp, refuses, dtype, value):
    sequence()
    ids = ramp(dtype=dtype)
    ids[0, 0, 0] = value
    put("01_GT/SEG/man_seg000.tif", ids)
    refuses(r"man_seg000.tif: ids from .* expected 0 to 2147483647", in_pixels=True)


def test_pixels_that_cannot_be_decoded(sequence, put, refuses):
    sequence()
    noise = np.random.default_rng(0).integers(0, 9, (64, 64)).astype(np.uint16)
    path = put("01/t001.tif", noise, compression="zlib")
    content = bytearray(path.read_bytes())
    content[-600:-300] = b"\xff" * 300
    path.write_bytes(content)
    refuses("t001.tif: pixels cannot be decoded", in_pixels=True)


def test_earlier_datalist_does_not_outlive_a_failed_run(sequence, put, ramp, refuses, tmp_path):
    sequence()
    convert_ctc(tmp_path / "source", tmp_path / "out", spacing=(2, 1, 1))
    put("01/t001.tif", np.full((4, 6, 5), np.nan, np.float32))
    refuses("t001.tif: 120 voxels are NaN", in_pixels=True)


def test_no_folds(sequence, refuses):
    sequence()
    refuses("0 folds, expected at least 1", folds=0)


@pytest.mark.parametrize("blocked", ["out", "out/images", "out/labels"])
def test_destination_that_cannot_be_written(sequence, tmp_path, blocked):
    sequence()
    (tmp_path / blocked).parent.mkdir(exist_ok=True)
    (tmp_path / blocked).write_text("a file where a folder should be")
    with pytest.raises(InputError, match="out: cannot be written .*; choose another folder"):
        convert_ctc(tmp_path / "source", tmp_path / "out", spacing=(2, 1, 1))
