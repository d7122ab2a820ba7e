"""Errors are put where they are: drawn cases with known answers."""

import json

import nibabel as nib
import numpy as np
import pytest

from common.errors import InputError
from tools.error_analysis import count_errors, errors, isolated_offsets


def nuclei() -> tuple[np.ndarray, np.ndarray]:
    """Image and labels of three cubes of 4 x 4 x 4, brighter and deeper from one to the next."""
    labels = np.zeros((18, 10, 10), np.uint16)
    for label, first in enumerate((1, 7, 13), start=1):
        labels[first : first + 4, 3:7, 3:7] = label
    return labels.astype(float) * 100, labels


def test_perfect_mask_has_no_errors():
    image, labels = nuclei()
    counts = count_errors(image, labels, labels > 0)
    assert counts["wrong"] == 0 and counts["both"] == counts["either"] == 3 * 64 and counts["nuclei missed"] == 0


def test_missing_outer_layer_is_an_error_at_the_border():
    image, labels = nuclei()
    mask = labels > 0
    mask[:, 3] = False
    counts = count_errors(image, labels, mask)
    assert counts["wrong"] == counts["wrong at border"] == counts["missing"] == 3 * 16
    assert counts["inside both"] == counts["inside either"] == 3 * 8


def test_distant_voxel_is_an_extra_one_away_from_the_border():
    image, labels = nuclei()
    mask = labels > 0
    mask[0, 0, 0] = True
    counts = count_errors(image, labels, mask)
    assert (counts["extra"], counts["wrong at border"]) == (1, 0)


def test_lost_dim_nucleus_is_missed_in_its_brightness_and_depth():
    image, labels = nuclei()
    counts = count_errors(image, labels, labels > 1)
    assert (counts["dim found"], counts["dim voxels"], counts["bright found"]) == (0, 64, 64)
    assert (counts["first third both"], counts["last third both"]) == (0, 64)
    assert (counts["nuclei"], counts["nuclei missed"]) == (3, 1)


def test_displaced_truth_is_told_by_the_nuclei_that_stand_alone():
    labels = np.zeros((12, 30, 30), np.uint16)
    labels[4:8, 4:8, 4:8] = 1
    labels[4:8, 20:24, 16:20], labels[4:8, 20:24, 20:24] = 2, 3  # these touch: nobody can tell their centroids
    mask = np.roll(labels > 0, (-1, 1), axis=(1, 2))
    mask[0, 0, 29] = True
    assert isolated_offsets(labels, mask) == pytest.approx(np.array([[0, 1, -1]]))


def test_command_pools_volumes_and_names_a_missing_result(tmp_path):
    image, labels = nuclei()
    for name, volume in (("a", image), ("a_label", labels), ("a_mask", (labels > 0).astype(np.uint8))):
        nib.save(nib.Nifti1Image(volume.T, np.eye(4)), tmp_path / f"{name}.nii.gz")
    datalist = {"testing": [{"image": "a.nii.gz", "label": "a_label.nii.gz"}, {"image": "unlabelled.nii.gz"}]}
    (tmp_path / "dataset.json").write_text(json.dumps(datalist))
    summary = errors(str(tmp_path), str(tmp_path))
    assert (summary["IoU, voxels pooled"], summary["nuclei missed"]) == ("1.0000", "0 of 3")
    with pytest.raises(InputError, match="a_mask.nii.gz: no such file; run inference"):
        errors(str(tmp_path), str(tmp_path / "empty"))


def test_mask_that_is_stored_the_other_way_round_is_turned(tmp_path):
    image, labels = nuclei()
    reversed_x = np.diag([-1.0, 1, 1, 1])
    reversed_x[0, 3] = image.shape[2] - 1
    mask = (labels > 0).astype(np.uint8)
    mask[:, :, 5:] = 0
    nib.save(nib.Nifti1Image(image.T, np.eye(4)), tmp_path / "a.nii.gz")
    nib.save(nib.Nifti1Image(labels.T, np.eye(4)), tmp_path / "a_label.nii.gz")
    (tmp_path / "dataset.json").write_text(json.dumps({"testing": [{"image": "a.nii.gz", "label": "a_label.nii.gz"}]}))
    found = []
    for stored, affine in ((mask.T, np.eye(4)), (mask.T[::-1], reversed_x)):
        nib.save(nib.Nifti1Image(stored, affine), tmp_path / "a_mask.nii.gz")
        found.append(errors(str(tmp_path), str(tmp_path)))
    assert found[0] == found[1] and found[0]["IoU, voxels pooled"] == "0.5000"
    reversed_x[0, 3] += 30
    nib.save(nib.Nifti1Image(stored, reversed_x), tmp_path / "a_mask.nii.gz")
    with pytest.raises(InputError, match="a_mask.nii.gz: the mask lies elsewhere than its image"):
        errors(str(tmp_path), str(tmp_path))


def test_pictures_are_told_from_volumes_that_lack_a_result(tmp_path):
    for name in ("a.png", "a_label.png"):
        (tmp_path / name).touch()
    (tmp_path / "dataset.json").write_text(json.dumps({"testing": [{"image": "a.png", "label": "a_label.png"}]}))
    with pytest.raises(InputError, match=r"a\.png: no NIfTI volume, which is all that is compared here; use overlay"):
        errors(tmp_path, tmp_path)
