"""Two bundles together on raw volumes: once through on a small embryo, and what must stop before it starts."""

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from common.errors import InputError
from common.reading.tiff import read_spacing
from tools.sample.ctc import ctc
from tools.score.commands import score_folders
from tools.segment.challenge import is_challenge
from tools.segment.commands import segment
from tools.segment.results import read_mask

SPACING = "2.0,0.8,0.8"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One embryo of two frames in the challenge's layout."""
    folder = tmp_path_factory.mktemp("nuclei") / "source"
    ctc(str(folder), num_sequences=1, num_frames=2)
    return folder


@pytest.fixture(scope="module")
def done(source: Path) -> tuple[Path, str]:
    """Folder of a finished run, and what it printed."""
    destination = source.parent / "out"
    return destination, segment("nuclei", str(source), str(destination), spacing=SPACING)


@pytest.mark.slow
def test_every_frame_has_its_results_on_the_original_grid(source, done):
    destination, _ = done
    for frame in ("000", "001"):
        result = tifffile.imread(destination / "01_RES" / f"mask{frame}.tif")
        image = tifffile.imread(source / "01" / f"t{frame}.tif")
        assert result.shape == image.shape and result.dtype == np.uint16
        with (destination / "results" / f"01_t{frame}_nuclei.csv").open() as file:
            ids = [int(row["id"]) for row in csv.DictReader(file)]
        assert ids == [label for label in np.unique(result) if label]
    assert (destination / "overlay.png").stat().st_size > 0


@pytest.mark.slow
def test_printed_scores_are_those_of_the_folders(source, done):
    destination, text = done
    frames = score_folders(source, destination)["01"]
    ious = np.concatenate([matches.ious for frame in frames for matches in frame.matches.values()])
    assert f"{ious.mean():.4f}" in text
    assert json.loads((destination / "scores.json").read_text())["total"]["seg"] == pytest.approx(
        ious.mean(), abs=1e-12
    )
    assert all(word in text for word in ("SEG", "DET", "OP_CSB"))


@pytest.mark.slow
def test_a_second_run_does_only_what_is_missing(source, done, monkeypatch):
    destination, text = done
    missing = destination / "results" / "01_t001_nuclei.csv"
    kept = destination / "results" / "01_t000_nuclei.csv"
    os.utime(kept, (kept.stat().st_atime, kept.stat().st_mtime + 5))
    before = kept.stat().st_mtime
    missing.unlink()
    assert segment("nuclei", str(source), str(destination), spacing=SPACING) == text
    assert missing.exists() and kept.stat().st_mtime == before
    monkeypatch.setattr(
        "tools.segment.challenge.segment_file", lambda *run, **given: pytest.fail("nothing was left to do")
    )
    assert segment("nuclei", str(source), str(destination), spacing=SPACING) == text


@pytest.mark.slow
def test_results_of_other_weights_are_not_mixed(source, done, tmp_path):
    destination, _ = done
    other = tmp_path / "model.pt"
    other.write_bytes(b"other weights")
    with pytest.raises(InputError, match="results of other weights"):
        segment("nuclei", str(source), str(destination), spacing=SPACING, ckpt_path=str(other))


def test_a_damaged_record_of_the_weights_is_named(source, tmp_path):
    (tmp_path / "weights.json").write_text('{"devonet_nsn": ')
    with pytest.raises(InputError, match=r"weights.json: not a readable JSON .*; remove it, or choose another folder"):
        segment("nuclei", str(source), str(tmp_path), spacing=SPACING)


@pytest.mark.slow
def test_one_stack_without_truth(source, tmp_path):
    stack = tmp_path / "my embryo.tif"
    shutil.copy(source / "01" / "t000.tif", stack)
    segment("nuclei", str(stack), str(tmp_path / "out"), spacing=SPACING, save="ome-tiff,csv")
    result = tifffile.imread(tmp_path / "out" / "my embryo_labels.ome.tif")
    assert result.shape == tifffile.imread(stack).shape and result.max() > 0
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "my embryo_instances.nii.gz")[0], result)
    assert np.allclose(read_spacing(tmp_path / "out" / "my embryo_labels.ome.tif"), (2.0, 0.8, 0.8))
    assert {"my embryo_mask.nii.gz", "my embryo_nuclei.csv", "my embryo_labels.csv"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
    again = segment("nuclei", str(stack), str(tmp_path / "out"), spacing=SPACING)
    assert (again["images"], again["done before"]) == (0, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "no such file or folder; give a file, a folder"),
        (lambda folder: folder.mkdir(), "no image there"),
        (lambda folder: (folder / "01").mkdir(parents=True), "no image found"),
    ],
)
def test_nothing_is_written_for_a_source_that_cannot_be_used(tmp_path, make, message):
    make(tmp_path / "source")
    with pytest.raises((InputError, FileNotFoundError), match=message):
        segment("nuclei", str(tmp_path / "source"), str(tmp_path / "out"), spacing=SPACING)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_results_of_other_images_are_not_mixed(source, done, tmp_path):
    destination, _ = done
    shutil.copytree(source / "01", tmp_path / "other" / "02")
    with pytest.raises(InputError, match="01_t000_instances.nii.gz: of an image that is not in the source"):
        segment("nuclei", str(tmp_path / "other"), str(destination), spacing=SPACING)


def test_single_slice_is_refused(tmp_path):
    (tmp_path / "source" / "01").mkdir(parents=True)
    tifffile.imwrite(tmp_path / "source" / "01" / "t000.tif", np.zeros((16, 16), np.uint16), photometric="minisblack")
    with pytest.raises(InputError, match="t000.tif: a single slice, expected a volume"):
        segment("nuclei", str(tmp_path / "source"), str(tmp_path / "out"), spacing=SPACING)
    assert not (tmp_path / "out").exists()


def test_one_sequence_without_its_parent_is_told_that_its_truth_is_not_seen(source, caplog):
    assert not is_challenge(source / "01") and is_challenge(source)
    assert "give the folder above" in caplog.text


def test_options_for_single_files_are_refused(source, tmp_path):
    with pytest.raises(InputError, match="--channel 1: .* is a dataset of the challenge; leave it out"):
        segment("nuclei", str(source), str(tmp_path / "out"), spacing=SPACING, channel="1")
    assert not (tmp_path / "out").exists()


def test_missing_checkpoint_is_named(source, tmp_path):
    with pytest.raises(InputError, match="--ckpt_path nowhere.pt: no such file; check the path"):
        segment("nuclei", str(source), str(tmp_path / "out"), spacing=SPACING, foreground_ckpt_path="nowhere.pt")


def test_spacing_is_required(source, tmp_path):
    with pytest.raises(InputError, match="spacing"):
        segment("nuclei", str(source), str(tmp_path / "out"))
