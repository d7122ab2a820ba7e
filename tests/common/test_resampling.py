"""Volumes at another spacing: as SciPy and MONAI have them, in less memory."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, Spacingd
from scipy import ndimage
from scipy.spatial.transform import Rotation

from common.resampling import VolumeSpacingd, resample_axes

TURNED = Rotation.from_euler("xyz", [20, 30, 40], degrees=True).as_matrix()
AFFINES = {
    "finer along X, coarser along Z": np.diag([1.3, 0.8, 1.1]),
    "axes that run backwards": np.diag([-0.8, 0.5, -2.0]),
    "axes in another order": np.array([[0, -0.8, 0], [0.5, 0, 0], [0, 0, 1.75]]),
    "turned": TURNED @ np.diag([0.8, 0.6, 2.0]),
    "nearly the wanted spacing": np.diag([0.8004, 0.8, 1.7496]),
    "sheared": np.array([[0.8, 0.1, 0], [0, 0.8, 0], [0, 0, 2.0]]),
}


def volume(axes: np.ndarray, shape: tuple[int, ...] = (31, 40, 17)) -> MetaTensor:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes, (5.0, -3.0, 2.0)
    return MetaTensor(torch.rand(1, *shape), affine=torch.as_tensor(affine))


@pytest.mark.parametrize("length", [1, 2, 5, 150])
@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.3), (0.37, 0.0), (2.6, 1.2), (1.0, 0.0)])
def test_an_axis_is_resampled_as_scipy_does_it(length, scale, offset):
    lines = torch.rand(2, 3, length)
    count = max(1, int((length - 1 - offset) / scale) + 2)  # the last place lies beyond the border
    wanted = [
        ndimage.map_coordinates(line, np.arange(count)[None] * scale + offset, order=3, mode="nearest")
        for line in lines.reshape(-1, length).numpy()
    ]
    found = resample_axes(lines, (1.0, scale), (0.0, offset), (3, count))
    np.testing.assert_allclose(found.reshape(-1, count), wanted, atol=2e-6)


@pytest.mark.parametrize("axes", AFFINES.values(), ids=AFFINES)
def test_a_volume_is_brought_to_a_spacing_and_back_as_monai_does_it(axes):
    image, prediction = volume(axes), None
    found = []
    for transform in (
        Spacingd("image", pixdim=(0.8, 0.8, 1.75), mode=3, dtype=torch.float32),
        VolumeSpacingd("image", pixdim=(0.8, 0.8, 1.75)),
    ):
        there = transform({"image": image})["image"]
        prediction = torch.rand(there.shape) if prediction is None else prediction
        backs = [
            Invertd("pred", Compose([transform]), orig_keys="image", nearest_interp=nearest)(
                {"image": there, "pred": MetaTensor(prediction)}
            )["pred"]
            for nearest in (False, True)
        ]
        found.append((there, *backs))
    for wanted, own in zip(*found, strict=True):
        assert own.shape == wanted.shape
        np.testing.assert_allclose(own.affine, wanted.affine, atol=1e-12)
        np.testing.assert_allclose(own.numpy(), wanted.numpy(), atol=5e-6)


def test_other_entries_and_the_name_of_the_file_stay():
    image = volume(np.diag([2.0, 2.0, 2.0]), (4, 4, 4))
    image.meta["filename_or_obj"] = "a.nii.gz"
    spacing = VolumeSpacingd("image", pixdim=(1.0, 1.0, 1.0))
    resampled = spacing({"image": image, "image_path": "a.nii.gz"})
    assert resampled["image"].shape == (1, 7, 7, 7) and resampled["image_path"] == "a.nii.gz"
    assert resampled["image"].meta["filename_or_obj"] == "a.nii.gz"
    assert spacing.inverse(resampled)["image"].shape == (1, 4, 4, 4)


def test_a_part_is_seen_as_in_the_whole_volume():
    whole = volume(TURNED @ np.diag([0.3, 0.7, 1.9]), (120, 50, 40))
    first, start, stop = (30, 0, 5), (12, 0, 6), (30, 20, 40)  # X, Y, Z
    affine = whole.affine.clone()
    affine[:3, 3] += affine[:3, :3] @ torch.tensor(first, dtype=torch.float64)
    part = MetaTensor(whole.as_tensor()[:, first[0] : 110, :, first[2] :], affine=affine)
    told = {"first": list(first[::-1]), "start": list(start[::-1]), "stop": list(stop[::-1])}
    spacing = {"pixdim": (0.7, 0.9, 1.7), "keys": "image"}
    expected = VolumeSpacingd(**spacing)({"image": whole})["image"][:, 12:30, :20, 6:40]
    there = VolumeSpacingd(**spacing, part=told)
    found = there({"image": part})
    assert found["image"].shape == expected.shape
    inner = (slice(None), slice(3, -3), slice(None), slice(8, None))  # beyond which the part's border is seen
    np.testing.assert_allclose(found["image"][inner], expected[inner], atol=2e-5)
    at_start = whole.affine[:3, 3] + whole.affine[:3, :3] @ torch.tensor(
        np.multiply(start, (0.7 / 0.3, 0.9 / 0.7, 1.7 / 1.9))
    )
    np.testing.assert_allclose(found["image"].affine[:3, 3], at_start)
    back = there.inverse(found)["image"]
    np.testing.assert_allclose(back.affine, part.affine)
    assert back.shape == part.shape
