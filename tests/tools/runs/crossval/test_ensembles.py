"""Members are chosen as Auto3DSeg chooses them, and their probabilities averaged before objects are made."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from monai.metrics import DiceMetric, MeanIoU
from PIL import Image
from torch import from_numpy

from common.errors import InputError
from tools.runs.crossval.ensembles import Member, average, enlarge, overlap_scores


def member(bundle, fold, score, folder=Path(), threshold=0.5):
    return Member(bundle, fold, score, folder, threshold)


def test_mean_of_volumes(tmp_path):
    volumes = np.random.default_rng(0).random((3, 4, 3, 2)).astype(np.float32)
    paths = [tmp_path / f"{index}.nii.gz" for index in range(3)]
    for path, volume in zip(paths, volumes, strict=True):
        nib.save(nib.Nifti1Image(volume.T, np.eye(4)), path)
    np.testing.assert_allclose(average(paths), volumes.mean(axis=0), rtol=1e-6)


def test_whole_numbers_are_shares_of_their_type(tmp_path):
    Image.fromarray(np.full((2, 2), 65535, np.uint16)).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tiff", np.full((2, 2), 51, np.uint8))
    np.testing.assert_allclose(average([tmp_path / "a.png", tmp_path / "b.tiff"]), 0.6, rtol=1e-6)


def test_ensemble_without_members_is_refused():
    with pytest.raises(InputError, match="an ensemble without members"):
        average([])


def test_plane_is_enlarged_to_its_truth_with_a_partial_last_block():
    small = np.array([[0, 1], [0, 1]], np.float32)
    assert enlarge(small, (4, 3)).shape == (4, 3)
    assert (enlarge(small, (4, 4)) >= 0.5).tolist() == [[False, False, True, True]] * 4
    assert enlarge(small, (2, 2)) is small


@pytest.mark.parametrize("shape", [(3, 2), (7, 4), (2, 2, 2)])
def test_another_grid_than_the_truth_is_refused(shape):
    with pytest.raises(InputError, match="probability of shape .* truth of .*; convert the data again"):
        enlarge(np.zeros((2, 2), np.float32), shape)


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_the_metrics_that_bundles_use(seed):
    mask, truth = np.random.default_rng(seed).random((2, 3, 5, 4)) > 0.5
    tensors = [from_numpy(array)[None, None].float() for array in (mask, truth)]
    found = overlap_scores(mask, truth)
    for name, metric in (("iou", MeanIoU(ignore_empty=False)), ("dice", DiceMetric(ignore_empty=False))):
        metric(*tensors)
        assert found[name] == pytest.approx(float(metric.aggregate()))


def test_nothing_against_nothing_is_perfect():
    nothing = np.zeros((2, 2), bool)
    assert overlap_scores(nothing, nothing) == {"iou": 1.0, "dice": 1.0}
