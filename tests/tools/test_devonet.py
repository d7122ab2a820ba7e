"""Both DevoNet bundles from raw volumes: once through on a small embryo, and what must stop before it starts."""

from __future__ import annotations

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
from tools.devonet import _find_sequences, devonet
from tools.sample.ctc import ctc
from tools.score.commands import score_folders

SPACING = "2.0,0.8,0.8"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One embryo of two frames in the challenge's layout."""
    folder = tmp_path_factory.mktemp("devonet") / "source"
    ctc(str(folder), num_sequences=1, num_frames=2)
    return folder


@pytest.fixture(scope="module")
def done(source: Path) -> tuple[Path, str]:
    """Folder of a finished run, and what it printed."""
    destination = source.parent / "out"
    return destination, devonet(str(source), str(destination), spacing=SPACING)


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
    assert devonet(str(source), str(destination), spacing=SPACING) == text
    assert missing.exists() and kept.stat().st_mtime == before
    monkeypatch.setattr("tools.devonet.segment_file", lambda *run, **given: pytest.fail("nothing was left to do"))
    assert devonet(str(source), str(destination), spacing=SPACING) == text


@pytest.mark.slow
def test_results_of_other_weights_are_not_mixed(source, done, tmp_path):
    destination, _ = done
    other = tmp_path / "model.pt"
    other.write_bytes(b"other weights")
    with pytest.raises(InputError, match="results of other weights"):
        devonet(str(source), str(destination), spacing=SPACING, ndn_weights=str(other))


@pytest.mark.slow
def test_one_stack_without_truth(source, tmp_path):
    stack = tmp_path / "my embryo.tif"
    shutil.copy(source / "01" / "t000.tif", stack)
    text = devonet(str(stack), str(tmp_path / "out"), spacing=SPACING)
    result = tifffile.imread(tmp_path / "out" / "instances" / "my embryo.tif")
    assert result.shape == tifffile.imread(stack).shape and result.max() > 0
    assert np.allclose(read_spacing(tmp_path / "out" / "instances" / "my embryo.tif"), (2.0, 0.8, 0.8))
    assert "SEG" not in text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "no such file or folder; give a dataset"),
        (lambda folder: folder.mkdir(), "neither sequences .* nor TIFF stacks"),
        (lambda folder: (folder / "01").mkdir(parents=True), "no image found"),
    ],
)
def test_nothing_is_written_for_a_source_that_cannot_be_used(tmp_path, make, message):
    make(tmp_path / "source")
    with pytest.raises((InputError, FileNotFoundError), match=message):
        devonet(str(tmp_path / "source"), str(tmp_path / "out"), spacing=SPACING)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_results_of_other_images_are_not_mixed(source, done, tmp_path):
    destination, _ = done
    stack = tmp_path / "other.tif"
    shutil.copy(source / "01" / "t000.tif", stack)
    with pytest.raises(InputError, match="01_t000_instances.nii.gz: of an image that is not in the source"):
        devonet(str(stack), str(destination), spacing=SPACING)


def test_single_slice_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "flat.tif", np.zeros((16, 16), np.uint16), photometric="minisblack")
    with pytest.raises(InputError, match="flat.tif: a single slice, expected a volume"):
        devonet(str(tmp_path / "flat.tif"), str(tmp_path / "out"), spacing=SPACING)
    assert not (tmp_path / "out").exists()


def test_one_sequence_without_its_parent_is_told_that_its_truth_is_not_seen(source, caplog):
    assert _find_sequences(source / "01") == {}
    assert "give the folder above it" in caplog.text


def test_missing_checkpoint_is_named(source, tmp_path):
    with pytest.raises(InputError, match="nowhere.pt: no such checkpoint"):
        devonet(str(source), str(tmp_path / "out"), spacing=SPACING, nsn_weights="nowhere.pt")


def test_spacing_is_required(source, tmp_path):
    with pytest.raises(InputError, match="spacing"):
        devonet(str(source), str(tmp_path / "out"))
