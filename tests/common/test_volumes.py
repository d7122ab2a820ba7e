"""Volumes at the border: what cannot be used is refused, what is written is whole and in place."""

import logging

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from common import volumes
from common.errors import InputError
from common.files import prepare_output_dir
from common.reading.loading import CheckVolumed
from common.volumes import ForegroundProbabilityd, SaveVolumed

AFFINE = np.array([[0.0, -0.8, 0.0, 5.0], [0.8, 0.0, 0.0, -3.0], [0.0, 0.0, 1.75, 2.0], [0.0, 0.0, 0.0, 1.0]])


def volume(*shape: int, value: float | torch.Tensor = 1.0, name: str = "a.nii.gz") -> MetaTensor:
    content = torch.rand(shape) if value is None else torch.full(shape, value)
    return MetaTensor(content, affine=torch.as_tensor(AFFINE), meta={"filename_or_obj": f"folder/{name}"})


def check(image: MetaTensor, label: MetaTensor | None = None) -> dict:
    keys = ["image"] if label is None else ["image", "label"]
    return CheckVolumed(keys)({"image": image} if label is None else {"image": image, "label": label})


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8, 4), (1, 8, 8, 4, 2)])
def test_anything_but_one_gray_volume_is_refused(shape):
    with pytest.raises(InputError, match=r"a.nii.gz: shape \(.*expected one gray volume"):
        check(volume(*shape))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_single_voxel_that_is_no_number_is_refused(value):
    image = volume(1, 4, 4, 4)
    image[0, 1, 2, 3] = value
    with pytest.raises(InputError, match="a.nii.gz: holds NaN or infinite voxels"):
        check(image)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_spacing_in_other_units_than_micrometres_is_refused(factor):
    image = volume(1, 4, 4, 4)
    image.affine = torch.as_tensor(AFFINE * [[factor], [factor], [factor], [1]])
    with pytest.raises(InputError, match="a.nii.gz: voxel spacing .*expected micrometres"):
        check(image)


def test_large_numbers_are_numbers():
    assert "image" in check(volume(1, 4, 4, 4, value=3e38))  # their sum is infinite


def test_label_on_another_grid_is_refused():
    with pytest.raises(InputError, match=r"b.nii.gz: label has shape \(4, 4, 3\), its image \(4, 4, 4\)"):
        check(volume(1, 4, 4, 4), volume(1, 4, 4, 3, name="b.nii.gz"))


def test_empty_label_is_warned_of_and_passes(caplog):
    with caplog.at_level(logging.WARNING):
        assert "label" in check(volume(1, 4, 4, 4), volume(1, 4, 4, 4, value=0.0, name="b.nii.gz"))
    assert "b.nii.gz: the label is empty" in caplog.text


def test_probability_is_softmax():
    logits = 5 * torch.randn(2, 3, 4, 5)
    probability = ForegroundProbabilityd("pred")({"pred": logits})["pred"]
    torch.testing.assert_close(probability, logits.softmax(dim=0)[1:])


@pytest.mark.parametrize(("kind", "dtype"), [("mask", "uint8"), ("prob", "float32")])
def test_results_lie_on_the_grid_of_the_image(tmp_path, kind, dtype):
    result = volume(1, 5, 4, 3, name="01_t000.nii.gz")
    result[0, 1, 2, 0] = 0
    SaveVolumed("pred", tmp_path, kind, dtype)({"pred": result})
    written = nib.load(tmp_path / f"01_t000_{kind}.nii.gz")
    assert (written.shape, written.get_data_dtype(), written.header.get_xyzt_units()[0]) == ((5, 4, 3), dtype, "micron")
    np.testing.assert_allclose(written.affine, AFFINE, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(written.dataobj), result[0].numpy())


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    def fail(image, path):
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    save = SaveVolumed("pred", tmp_path, "mask")
    save({"pred": volume(1, 2, 2, 2)})
    before = (tmp_path / "a_mask.nii.gz").read_bytes()
    monkeypatch.setattr(volumes.nib, "save", fail)
    with pytest.raises(OSError, match="no space left"):
        save({"pred": volume(1, 2, 2, 2, value=0.0)})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a_mask.nii.gz": before}


def test_output_dir_is_made_and_left_empty(tmp_path):
    for _ in range(2):
        prepare_output_dir(tmp_path / "new" / "output")
    assert list((tmp_path / "new" / "output").iterdir()) == []


@pytest.mark.parametrize("below", [".", "output"])
def test_a_file_in_the_way_of_output_dir(tmp_path, below):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file.*: cannot write there \(.+\); give another folder"):
        prepare_output_dir(tmp_path / "file" / below)


def test_output_dir_without_permission(tmp_path, monkeypatch):
    def refuse(self, *_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(volumes.Path, "touch", refuse)  # the superuser may write anywhere
    with pytest.raises(InputError, match=r"cannot write there \(Permission denied\)"):
        prepare_output_dir(tmp_path)
