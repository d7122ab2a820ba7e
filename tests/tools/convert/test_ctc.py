"""The converter of Cell Tracking Challenge datasets keeps every voxel and pairs truth by number."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import LoadImage

from common.reading.tiff import read_volume
from tools.convert.ctc import ctc
from tools.convert.ctc_layout import find_sequences

REAL_DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "nuclei3d" / "train"


def items(datalist, key):
    return {(item["sequence"], item["frame"]): item for item in datalist[key]}


def test_datalist_names_every_file_and_where_it_belongs(sequence, convert, datalist):
    sequence(frames=(0,))
    summary = convert(name="embryos", licence="CC0-1.0")
    assert datalist() == {
        "name": "embryos",
        "licence": "CC0-1.0",
        "spacing": [2.0, 0.7, 0.5],
        "training": [
            {
                "image": "images/01_t000.nii.gz",
                "label": "labels/01_t000.nii.gz",
                "markers": "markers/01_t000.nii.gz",
                "sequence": "01",
                "frame": 0,
                "label_source": "GT",
                "fold": 0,
            }
        ],
        "testing": [],
    }
    assert (summary["sequences"], summary["frames"], summary["labelled"], summary["folds"]) == (1, 1, 1, 1)


def test_name_defaults_to_the_source_folder(sequence, convert, datalist):
    sequence()
    convert()
    assert (datalist()["name"], datalist()["licence"]) == ("source", "unknown")


def test_every_voxel_and_the_spacing_survive_the_turn_of_axes(sequence, convert, load, ramp, tmp_path):
    sequence()
    convert()
    image = nib.load(tmp_path / "out/images/01_t000.nii.gz")
    assert image.shape == (5, 6, 4)
    assert image.header.get_zooms() == pytest.approx((0.5, 0.7, 2.0))
    assert image.header.get_xyzt_units()[0] == "micron"
    np.testing.assert_array_equal(load("images/01_t000.nii.gz"), ramp(first=0))
    np.testing.assert_array_equal(load("labels/01_t000.nii.gz"), ramp(first=1))
    np.testing.assert_array_equal(load("markers/01_t000.nii.gz"), ramp(first=2))


@pytest.mark.parametrize(
    ("dtype", "kept"), [("uint8", "uint8"), ("uint16", "uint16"), ("float32", "float32"), ("float64", "float32")]
)
def test_image_dtype_is_kept(put, convert, load, ramp, dtype, kept):
    put("01/t000.tif", ramp(dtype=dtype))
    convert()
    np.testing.assert_array_equal(load("images/01_t000.nii.gz"), ramp(dtype=kept), strict=True)


@pytest.mark.parametrize("highest", [65535, 65536, 1_000_000, 2**31 - 1])
def test_ids_survive_nibabel_and_monai(put, convert, load, ramp, tmp_path, highest):
    ids = ramp(dtype="uint32")
    ids[-1, -1, -1] = highest
    put("01/t000.tif", ramp())
    put("01_GT/SEG/man_seg000.tif", ids)
    convert()
    assert load("labels/01_t000.nii.gz").dtype == ("uint16" if highest < 65536 else "int32")
    np.testing.assert_array_equal(load("labels/01_t000.nii.gz"), ids)
    read = LoadImage(image_only=True, dtype=None)(tmp_path / "out/labels/01_t000.nii.gz")
    np.testing.assert_array_equal(read.numpy().transpose(2, 1, 0), ids)


def test_frames_are_paired_by_number_across_gaps(sequence, put, convert, datalist, load, ramp):
    sequence(frames=(0, 7, 12))
    put("01/t003.tif", ramp())
    put("01/t009.tif", ramp())
    put("01_GT/SEG/man_seg009.tif", ramp(first=9009))
    convert()
    assert sorted(items(datalist(), "training")) == [("01", 0), ("01", 7), ("01", 9), ("01", 12)]
    np.testing.assert_array_equal(load("labels/01_t007.nii.gz"), ramp(first=7001))
    np.testing.assert_array_equal(load("labels/01_t009.nii.gz"), ramp(first=9009))
    np.testing.assert_array_equal(load("markers/01_t012.nii.gz"), ramp(first=12002))
    assert "markers" not in items(datalist(), "training")["01", 9]


def test_frames_without_truth_go_under_testing_without_a_label(sequence, put, convert, datalist, ramp):
    sequence(frames=(0,))
    put("01/t003.tif", ramp())
    convert()
    assert datalist()["testing"] == [{"image": "images/01_t003.nii.gz", "sequence": "01", "frame": 3}]


def test_frames_with_markers_only_train_the_detection_of_their_fold(sequence, put, convert, datalist, ramp):
    sequence("01", frames=(0,))
    put("02/t000.tif", ramp())
    put("02_GT/TRA/man_track000.tif", ramp())
    convert(folds=2)
    (item,) = [item for item in datalist()["training"] if item["sequence"] == "02"]
    assert item["markers"] == "markers/02_t000.nii.gz" and item["fold"] == 1 and "label" not in item


def test_number_counts_not_its_digits(put, convert, datalist, ramp):
    put("01/t0007.tif", ramp())
    put("01_GT/SEG/man_seg007.tif", ramp())
    convert()
    assert datalist()["training"][0]["label"] == "labels/01_t0007.nii.gz"


def test_flat_image_becomes_one_slice(put, convert, load, ramp, tmp_path):
    put("01/t000.tif", ramp((6, 5), "uint8"))
    put("01_GT/SEG/man_seg000.tif", ramp((6, 5)))
    convert()
    assert nib.load(tmp_path / "out/images/01_t000.nii.gz").shape == (5, 6, 1)
    np.testing.assert_array_equal(load("labels/01_t000.nii.gz"), ramp((1, 6, 5)))


def test_single_slices_are_listed_and_the_rest_is_zero(put, convert, datalist, load, ramp):
    put("01/t000.tif", ramp())
    put("01_GT/SEG/man_seg_000_003.tif", ramp((6, 5), "uint8"))
    put("01_GT/SEG/man_seg_000_001.tif", ramp((6, 5), "uint32", first=70000))
    convert()
    label = load("labels/01_t000.nii.gz")
    assert datalist()["training"][0]["annotated_slices"] == [1, 3]
    np.testing.assert_array_equal(label[1], ramp((6, 5), "uint32", first=70000))
    np.testing.assert_array_equal(label[3], ramp((6, 5)))
    assert not label[[0, 2]].any()


def test_complete_truth_goes_before_slices_and_gold_before_silver(put, convert, datalist, load, ramp):
    for frame in range(3):
        put(f"01/t00{frame}.tif", ramp())
        put(f"01_GT/SEG/man_seg_00{frame}_002.tif", ramp((6, 5)))
    put("01_GT/SEG/man_seg000.tif", ramp(first=100))
    put("01_ST/SEG/man_seg000.tif", ramp(first=200))
    put("01_ST/SEG/man_seg001.tif", ramp(first=300))
    convert()
    training = datalist()["training"]
    assert [item["label_source"] for item in training] == ["GT", "ST", "GT"]
    assert ["annotated_slices" in item for item in training] == [False, False, True]
    assert [load(f"labels/01_t00{frame}.nii.gz")[0, 0, 0] for frame in range(3)] == [100, 300, 0]


def test_folds_split_by_sequence_round_robin(sequence, convert, datalist):
    for name in ("10", "02", "01", "03"):
        sequence(name, frames=(0, 1))
    convert(folds=3)
    folds = {(item["sequence"], item["fold"]) for item in datalist()["training"]}
    assert folds == {("01", 0), ("02", 1), ("03", 2), ("10", 0)}


def test_fewer_sequences_than_folds_make_fewer_folds_and_a_warning(sequence, convert, datalist, caplog):
    sequence("01")
    sequence("02")
    assert convert(folds=5)["folds"] == 2
    assert "5 folds wanted, but only 2 groups to split: one fold for each" in caplog.text


def test_sequence_without_truth_takes_no_fold(sequence, put, convert, datalist, ramp):
    put("01/t000.tif", ramp())
    sequence("02")
    assert convert(folds=1)["folds"] == 1
    assert items(datalist(), "training")["02", 0]["fold"] == 0


def test_test_sequences_keep_their_labels_and_have_no_fold(sequence, convert, datalist):
    for name in ("01", "02", "03"):
        sequence(name)
    convert(test=["01", "03"], folds=1)
    assert sorted(items(datalist(), "testing")) == [("01", 0), ("03", 0)]
    assert all("label" in item and "fold" not in item for item in datalist()["testing"])


def test_all_sequences_can_go_under_testing(sequence, convert, datalist):
    sequence("01")
    sequence("02")
    assert convert(test=["all"])["folds"] == 0
    assert (len(datalist()["training"]), len(datalist()["testing"])) == (0, 2)


def test_strings_of_the_command_line_stay_strings(sequence, datalist, tmp_path):
    sequence("01")
    sequence("02")
    ctc(str(tmp_path / "source"), str(tmp_path / "out"), spacing="2,1,1", test="02", name="1e3")
    assert sorted(items(datalist(), "testing")) == [("02", 0)]
    assert datalist()["name"] == "1e3"


def test_file_of_another_name_is_left_out_with_a_warning(sequence, put, tmp_path, ramp, caplog):
    sequence()
    put("01/overview.tif", ramp())
    assert len(find_sequences(tmp_path / "source")["01"]) == 1
    assert "overview.tif: not a name of the Cell Tracking Challenge" in caplog.text


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="../shared/data is not there")
def test_real_embryo_converts_voxel_by_voxel(tmp_path, convert, datalist, load):
    (tmp_path / "source").mkdir()
    for name in ("01", "01_GT"):
        (tmp_path / "source" / name).symlink_to(REAL_DATA / name)
    assert convert(spacing=(1.75, 0.8, 0.8))["labelled"] == 5
    frame = find_sequences(REAL_DATA)["01"][3]
    np.testing.assert_array_equal(load("images/01_t003.nii.gz"), read_volume(frame.image), strict=True)
    np.testing.assert_array_equal(load("labels/01_t003.nii.gz"), read_volume(frame.gold))
