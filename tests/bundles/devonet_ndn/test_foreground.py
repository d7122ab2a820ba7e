"""The foreground of each image, found by its name."""

import pytest
from devonet_ndn.common.errors import InputError
from devonet_ndn.foreground import with_foreground

ITEMS = [{"image": "/data/images/a.nii.gz", "label": "/data/labels/a.nii.gz"}, {"image": "/data/b.nii"}]


@pytest.fixture
def masks(tmp_path):
    for name in ("a_mask.nii.gz", "b_mask.nii.gz", "c_mask.nii.gz"):
        (tmp_path / name).touch()
    return tmp_path


def test_every_image_gets_its_own(masks):
    assert with_foreground(ITEMS, masks) == [
        {**ITEMS[0], "foreground": str(masks / "a_mask.nii.gz")},
        {**ITEMS[1], "foreground": str(masks / "b_mask.nii.gz")},
    ]
    assert "foreground" not in ITEMS[0]


def test_probability_goes_before_mask(masks):
    (masks / "b_prob.nii.gz").touch()
    found = [item["foreground"] for item in with_foreground(ITEMS, masks)]
    assert found == [str(masks / "a_mask.nii.gz"), str(masks / "b_prob.nii.gz")]


def test_image_without_foreground_is_named(masks):
    (masks / "b_mask.nii.gz").unlink()
    message = r"no foreground of 1 of 2 images; the first is b: expected b_prob.nii.gz or b_mask.nii.gz"
    with pytest.raises(InputError, match=message):
        with_foreground(ITEMS, masks)


def test_foreground_of_a_longer_name_is_of_another_image(masks):
    (masks / "a_mask.nii.gz").rename(masks / "aa_mask.nii.gz")
    with pytest.raises(InputError, match="the first is a: "):
        with_foreground(ITEMS, masks)


def test_folder_that_there_is_not(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder; segment the foreground first"):
        with_foreground(ITEMS, tmp_path / "nowhere")
