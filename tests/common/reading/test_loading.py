"""What cannot be read is told, also by a thread or a worker process."""

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import Dataset

from common.errors import InputError
from common.reading.loading import CheckedLoadImage, CheckedLoadImaged
from common.training.prefetching import PrefetchingLoader


def load(path) -> torch.Tensor:
    return CheckedLoadImaged(keys="image", ensure_channel_first=True)({"image": str(path)})["image"]


def test_a_sound_volume_is_read_with_its_affine(write_volume):
    volume = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    image = load(write_volume("a.nii.gz", volume, spacing=(0.5, 0.5, 2.0)))
    np.testing.assert_array_equal(image[0].numpy(), volume)
    np.testing.assert_array_equal(image.affine.numpy(), np.diag([0.5, 0.5, 2.0, 1.0]))


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii"])
def test_truncated_file(write_volume, name):
    path = write_volume(name, np.random.default_rng(0).integers(0, 9999, (16, 16, 16), dtype=np.uint16))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=rf"{name}: cannot be read as a gray volume .* convert it again"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_file_that_is_no_image(tmp_path, content):
    (tmp_path / "a.nii.gz").write_bytes(content)
    with pytest.raises(InputError, match=r"a.nii.gz: cannot be read as a gray volume"):
        load(tmp_path / "a.nii.gz")


def test_colours(tmp_path):
    colours = np.zeros((4, 4, 4), dtype=[(channel, "u1") for channel in "RGB"])
    nib.save(nib.Nifti1Image(colours, np.eye(4)), tmp_path / "rgb.nii.gz")
    with pytest.raises(InputError, match=r"rgb.nii.gz: cannot be read as a gray volume"):
        CheckedLoadImage()(tmp_path / "rgb.nii.gz")


def test_batches_come_in_order():
    assert torch.cat(list(PrefetchingLoader(Dataset(list(range(7))), batch_size=2))).tolist() == list(range(7))


def test_an_error_in_the_thread_does_not_shorten_the_epoch():
    def refuse_the_third(index):
        if index == 2:
            raise InputError("c.nii.gz: holds NaN")
        return index

    loader = PrefetchingLoader(Dataset(list(range(4)), transform=refuse_the_third))
    with pytest.raises(InputError, match=r"^c.nii.gz: holds NaN$"):
        list(loader)


def test_other_errors_stay_what_they_are():
    loader = PrefetchingLoader(Dataset([0], transform=lambda index: 1 / index))
    with pytest.raises(RuntimeError, match="applying transform") as caught:
        list(loader)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
