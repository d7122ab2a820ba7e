"""The verb score: a table, JSON, one line per object, any number of workers; bad input ends in one line."""

import csv
import json

import numpy as np
import pytest

from tools.__main__ import VERBS
from tools.command_line import run
from tools.score.commands import score_folders

SEG, DET = 0.5, 1 - 10 / 30


@pytest.fixture
def score(capsys):
    """Function that runs the verb; returns exit code, stdout and the lines of stderr without the progress bar."""

    def call(*arguments):
        code = run(VERBS, ["score", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, [line for line in err.splitlines() if line and "frame/s" not in line]

    return call


def test_table_of_one_sequence(folders, score):
    code, out, err = score(*folders())
    assert (code, err) == (0, [])
    assert [line.split() for line in out.splitlines()] == [
        ["SEG", "DET", "OP_CSB", "frames", "objects"],
        ["01", "0.5000", "0.6667", "0.5833", "2", "6"],
    ]


def test_total_of_several_sequences_is_pooled_over_objects(folders, put, score, tmp_path):
    folders("01")
    folders("02", frames=(0,))
    put("02_RES/mask000.tif", np.zeros((4, 6), np.uint8))
    rows = [line.split() for line in score(tmp_path / "source", tmp_path / "source")[1].splitlines()]
    assert rows[2:] == [
        ["02", "0.0000", "0.0000", "0.0000", "1", "3"],
        ["total", "0.3333", "0.4444", "0.3889", "3", "9"],
    ]


def test_json_is_all_there_is_on_stdout(folders, score):
    code, out, _ = score(*folders(), "--json")
    expected = {"seg": SEG, "det": DET, "op_csb": (SEG + DET) / 2, "frames": 2, "objects": 6, "markers": 6}
    assert code == 0
    assert json.loads(out) == {"sequences": {"01": pytest.approx(expected)}, "total": pytest.approx(expected)}


def test_detail_says_why(folders, score):
    total = json.loads(score(*folders(), "--json", "--detail")[1])["total"]
    assert {key: total[key] for key in ("merged", "split", "missed", "extra", "complete_frames")} == {
        "merged": 0,
        "split": 0,
        "missed": 2,
        "extra": 0,
        "complete_frames": 2,
    }
    assert (total["f1_50"], total["f1_95"]) == pytest.approx((2 / 5, 2 / 5))  # an IoU of 0.5 is not above it
    out = score(*folders(), "--detail")[1]
    assert "merged  split  missed  extra" in out and "F1 at IoU above    0.50    0.55" in out


def test_undefined_scores_are_nan_in_the_table_and_null_in_json(folders, score, caplog):
    arguments = folders(without="TRA")
    code, out, _ = score(*arguments)
    assert code == 0 and out.splitlines()[1].split()[1:4] == ["0.5000", "nan", "nan"]
    assert "DET and OP_CSB are undefined" in caplog.text
    assert json.loads(score(*arguments, "--json")[1])["total"]["det"] is None


def test_csv_has_one_line_per_reference_object(folders, put, score, tmp_path):
    truth, results = folders()
    (truth / "SEG/man_seg001.tif").unlink()
    put("01_GT/SEG/man_seg_001_000.tif", np.full((4, 6), 70000, np.uint32))
    assert score(truth, results, "--csv", tmp_path / "objects.csv")[0] == 0
    with (tmp_path / "objects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"sequence": "01", "frame": "0", "slice": "", "label": "1", "result": "7", "iou": "1.0"}
    assert [(row["slice"], row["label"], row["result"], float(row["iou"])) for row in rows[1:]] == [
        ("", "2", "8", 0.5),
        ("", "3", "0", 0.0),
        ("0", "70000", "0", 0.0),
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"source", "objects.csv"}


def test_number_of_workers_changes_nothing(folders, score):
    arguments = folders(frames=tuple(range(6)))
    outputs = {score(*arguments, "--json", "--detail", "--workers", workers)[1] for workers in (1, 2, 5)}
    assert len(outputs) == 1


def test_frames_keep_their_order(folders):
    (frames,) = score_folders(*folders(frames=(9, 0, 5)), num_workers=3).values()
    assert [frame.number for frame in frames] == [0, 5, 9]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--jsn"], "unknown flag --jsn; did you mean --json?"),
        (["--workers", "0"], "--workers 0: expected a whole number, at least 1"),
        (["--workers", "two"], "--workers two: expected a whole number"),
        (["--json", "yes"], "--json yes: expected no value"),
        (["--detail=1"], "--detail 1: expected no value"),
        (["--csv"], "--csv: no value; give --csv VALUE"),
        (["third"], "too many arguments: third"),
    ],
)
def test_wrong_options_are_one_line(folders, score, options, message):
    code, out, (line,) = score(*folders(), *options)
    assert (code, out) == (1, "") and message in line


def test_missing_frame_is_one_line(folders, score):
    truth, results = folders()
    (results / "mask001.tif").unlink()
    code, out, (line,) = score(truth, results)
    assert (code, out) == (1, "") and "mask001.tif: no such result" in line


def test_bad_file_is_one_line_with_several_workers_too(folders, put, score):
    arguments = folders(frames=tuple(range(4)))
    put("01_RES/mask002.tif", np.zeros((4, 6), np.float32))
    code, out, (line,) = score(*arguments, "--workers", "3")
    assert (code, out) == (1, "") and "mask002.tif: labels are float32" in line


def test_csv_is_refused_before_anything_is_computed(folders, score, tmp_path):
    arguments = folders()
    (tmp_path / "old.csv").write_text("kept")
    assert "old.csv: already exists" in score(*arguments, "--csv", tmp_path / "old.csv")[2][0]
    assert (tmp_path / "old.csv").read_text() == "kept"
    assert "nowhere: no such folder to write x.csv to" in score(*arguments, "--csv", tmp_path / "nowhere/x.csv")[2][0]
