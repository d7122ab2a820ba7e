"""The sample is a Cell Tracking Challenge dataset that the converter takes without a word."""

from pathlib import Path

import numpy as np
import tifffile

from tools.sample.ctc import ctc, draw_files

SMALL = {"num_sequences": 2, "num_frames": 2}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_layout_is_that_of_the_challenge(tmp_path):
    ctc(str(tmp_path), **SMALL)
    assert sorted(contents(tmp_path)) == sorted(
        f"{sequence}{name}"
        for sequence in ("01", "02")
        for name in (
            "/t000.tif",
            "/t001.tif",
            "_GT/SEG/man_seg000.tif",
            "_GT/SEG/man_seg001.tif",
            "_GT/TRA/man_track.txt",
            "_GT/TRA/man_track000.tif",
            "_GT/TRA/man_track001.tif",
        )
    )


def test_more_frames_leave_the_others_as_they_are():
    few, many = dict(draw_files(num_sequences=1, num_frames=1)), dict(draw_files(num_sequences=2, num_frames=2))
    assert all(many[name] == few[name] for name in few if name.endswith(".tif"))


def test_nuclei_grow_in_number_and_markers_match_them_and_the_tracks(tmp_path):
    ctc(str(tmp_path), num_sequences=1, num_frames=3)
    tracks = np.loadtxt(tmp_path / "01_GT/TRA/man_track.txt", dtype=int)
    counts = []
    for frame in range(3):
        labels = tifffile.imread(tmp_path / f"01_GT/SEG/man_seg00{frame}.tif")
        markers = tifffile.imread(tmp_path / f"01_GT/TRA/man_track00{frame}.tif")
        pairs = set(zip(markers[markers > 0].tolist(), labels[markers > 0].tolist(), strict=True))
        counts.append(labels.max())
        assert sorted(label for _, label in pairs) == list(range(1, labels.max() + 1))
        assert sorted(marker for marker, _ in pairs) == sorted(tracks[tracks[:, 1] == frame, 0])
    assert counts == [7, 10, 13]
