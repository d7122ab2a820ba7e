"""A second run of the converter redoes what is not whole or not of these sources, and nothing else."""

import os

import nibabel as nib
import numpy as np
import pytest


def written(tmp_path):
    """Modification time of every volume of the output."""
    return {path.name + path.parent.name: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.nii.gz")}


@pytest.mark.parametrize("keep", [0, 40, -4])
def test_truncated_output_is_redone(sequence, convert, load, ramp, tmp_path, keep):
    sequence(frames=(0, 1))
    convert()
    victim = tmp_path / "out/labels/01_t001.nii.gz"
    victim.write_bytes(victim.read_bytes()[:keep])
    before = written(tmp_path)
    convert()
    changed = [name for name, time in written(tmp_path).items() if time != before[name]]
    assert changed == ["01_t001.nii.gzlabels"]
    np.testing.assert_array_equal(load("labels/01_t001.nii.gz"), ramp(first=1001))


def test_other_spacing_redoes_everything(sequence, convert, tmp_path):
    sequence()
    convert()
    before = written(tmp_path)
    convert(spacing=(2.0, 0.7, 0.51))
    assert all(time != before[name] for name, time in written(tmp_path).items())
    assert nib.load(tmp_path / "out/images/01_t000.nii.gz").header.get_zooms()[0] == pytest.approx(0.51)


@pytest.mark.parametrize("age", [3600, -3600])
def test_changed_source_is_redone_whether_newer_or_older(sequence, put, convert, load, ramp, age):
    sequence()
    convert()
    path = put("01/t000.tif", ramp(first=500))
    os.utime(path, (path.stat().st_mtime + age,) * 2)
    convert()
    np.testing.assert_array_equal(load("images/01_t000.nii.gz"), ramp(first=500))


def test_gold_truth_that_arrives_later_replaces_silver(put, convert, load, ramp):
    put("01/t000.tif", ramp())
    put("01_ST/SEG/man_seg000.tif", ramp(first=200))
    convert()
    put("01_GT/SEG/man_seg000.tif", ramp(first=100))
    convert()
    np.testing.assert_array_equal(load("labels/01_t000.nii.gz"), ramp(first=100))
