"""Truth and results are paired by the numbers in their names, and whatever is missing is named."""

import numpy as np
import pytest

from common.errors import InputError
from tools.score.folders import find_results

EMPTY = np.zeros((2, 2), np.uint8)


def test_sequence_by_its_two_folders(folders, tmp_path):
    (frames,) = find_results(*folders(frames=(0, 4))).values()
    assert [frame.number for frame in frames] == [0, 4]
    assert frames[1].segmentation == tmp_path / "source/01_GT/SEG/man_seg004.tif"
    assert frames[1].markers == tmp_path / "source/01_GT/TRA/man_track004.tif"
    assert frames[1].result == tmp_path / "source/01_RES/mask004.tif"


def test_dataset_gives_every_sequence(folders, tmp_path):
    folders("01")
    folders("02", frames=(3,))
    found = find_results(tmp_path / "source", tmp_path / "source")
    assert {name: [frame.number for frame in frames] for name, frames in found.items()} == {"01": [0, 1], "02": [3]}


def test_silver_truth_by_name_or_where_there_is_no_gold(put, tmp_path):
    put("01_ST/SEG/man_seg000.tif", EMPTY)
    put("01_RES/mask000.tif", EMPTY)
    source = tmp_path / "source"
    assert find_results(source, source) == find_results(source / "01_ST", source / "01_RES")


def test_numbers_of_other_widths_are_the_same_frame(put, tmp_path):
    put("01_GT/SEG/man_seg0007.tif", EMPTY)
    put("01_RES/mask007.tif", EMPTY)
    ((frame,),) = find_results(tmp_path / "source/01_GT", tmp_path / "source/01_RES").values()
    assert frame.number == 7


def test_slices_belong_to_their_frame_unless_it_has_a_whole_truth(put, folders):
    truth, results = folders()
    for name in ("000_001", "000_000", "001_002"):
        put(f"01_GT/SEG/man_seg_{name}.tif", EMPTY)
    (truth / "SEG/man_seg000.tif").unlink()
    (first, second) = find_results(truth, results)["01"]
    assert (first.segmentation, sorted(first.slices)) == (None, [0, 1])
    assert second.slices == {}


@pytest.mark.parametrize("kind", ["SEG", "TRA"])
def test_missing_result_is_named(folders, kind):
    truth, results = folders(frames=(0, 1, 2), without="TRA" if kind == "SEG" else "SEG")
    (results / "mask001.tif").unlink()
    with pytest.raises(FileNotFoundError, match=rf"01_RES.mask001.tif: no such result, but there is .*{kind}.*001.tif"):
        find_results(truth, results)


@pytest.mark.parametrize(("missing", "undefined"), [("TRA", "DET"), ("SEG", "SEG")])
def test_one_kind_of_truth_is_enough_and_a_warning_says_so(folders, caplog, missing, undefined):
    (frames,) = find_results(*folders(without=missing)).values()
    assert len(frames) == 2
    assert f"{missing}: no truth there, so {undefined} and OP_CSB are undefined" in caplog.text


def test_result_without_truth_is_told(folders, put, caplog):
    caplog.set_level("INFO")
    truth, results = folders()
    put("01_RES/mask009.tif", EMPTY)
    (frames,) = find_results(truth, results).values()
    assert len(frames) == 2
    assert "01_RES: 1 results without truth are left out, the first is mask009.tif" in caplog.text


def test_empty_sequence(folders, tmp_path):
    truth, results = folders(without="RES")
    results.mkdir()
    with pytest.raises(InputError, match="01_RES: no result found, expected mask000.tif"):
        find_results(truth, results)
    (tmp_path / "empty_GT" / "SEG").mkdir(parents=True)
    with pytest.raises(InputError, match="empty_GT: no truth found, expected SEG/man_seg000.tif or TRA/man_track000"):
        find_results(tmp_path / "empty_GT", results)


def test_folder_that_holds_no_truth(folders):
    _, results = folders()
    with pytest.raises(InputError, match="01_RES: no truth found, expected SEG or TRA in it, or folders such as 01_GT"):
        find_results(results, results)


def test_folder_that_does_not_exist(folders, tmp_path):
    truth, results = folders()
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder, expected a sequence such as 01_GT"):
        find_results(tmp_path / "nowhere", results)
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        find_results(truth, tmp_path / "nowhere")


def test_sequence_without_results(folders, tmp_path):
    folders("01")
    folders("02", without="RES")
    with pytest.raises(FileNotFoundError, match="02_RES: no such folder, expected the results for .*02_GT"):
        find_results(tmp_path / "source", tmp_path / "source")


def test_two_results_of_one_frame(folders, put):
    truth, results = folders()
    put("01_RES/mask0001.tif", EMPTY)
    with pytest.raises(InputError, match=r"same frame as mask\d+.tif; keep one of the two"):
        find_results(truth, results)
