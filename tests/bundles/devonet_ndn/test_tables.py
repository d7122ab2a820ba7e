"""CSV files beside the volumes."""

import numpy as np
import torch
from devonet_ndn.nuclei import COLUMNS
from devonet_ndn.tables import SaveMarkerTabled, SaveNucleusTabled

from tests.tables import read_rows

SPACING = np.diag([0.5, 1.0, 2.0, 1.0])  # X, Y, Z


def test_markers_are_listed_in_micrometres_under_the_name_of_the_image(tmp_path, as_volume):
    data = {
        "pred": as_volume(np.zeros((2, 2, 2)), name="/data/01_t000.nii.gz"),
        "pred_detections": torch.tensor([[2.0, 1.5, 0.25, 0.875], [4.0, 0.0, 1.0, 0.75]]),
    }
    SaveMarkerTabled("pred", tmp_path)(data)
    assert read_rows(tmp_path / "01_t000_markers.csv") == [
        ["id", "z_um", "y_um", "x_um", "score"],
        ["1", "2", "1.5", "0.25", "0.875"],
        ["2", "4", "0", "1", "0.75"],
    ]


def test_nuclei_are_listed_as_z_y_x_with_the_brightness_of_the_image(tmp_path, as_volume):
    labels = np.zeros((5, 6, 7), np.int32)
    labels[1:3, 2:5, 3], labels[4, 5, 6] = 1, 9
    data = {
        "pred": as_volume(labels, SPACING, name="a.nii.gz").to(torch.int32),
        "pred_without_marker": np.array([9]),
        "intensity": as_volume(np.where(labels == 9, 300.0, 100.0)),
    }
    SaveNucleusTabled("pred", tmp_path)(data)
    header, *rows = read_rows(tmp_path / "a_nuclei.csv")
    assert header == list(COLUMNS)
    first, second = (dict(zip(header, row, strict=True)) for row in rows)
    assert [first[name] for name in ("id", "z_um", "y_um", "x_um", "volume_um3")] == ["1", "6", "3", "0.75", "6"]
    assert [second[name] for name in ("id", "z_um", "y_um", "x_um", "volume_um3")] == ["9", "12", "5", "2", "1"]
    assert [row["mean_intensity"] for row in (first, second)] == ["100", "300"]
    assert [row["marker"] for row in (first, second)] == ["1", "0"]
