import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from common.reading.images import read_slice
from tests.tools.serve.conftest import noise
from tools.convert.nifti import write_volume
from tools.serve.pictures import (
    COLOUR,
    contrast_limits,
    draw_outlines,
    enlarge,
    read_table,
    shrink,
    summarize,
    to_rgb,
)


def test_planes_of_a_volume_are_its_slices(tmp_path, ramp):
    volume = ramp()
    write_volume(tmp_path / "a.nii.gz", volume, (2.0, 1.0, 1.0))
    np.testing.assert_array_equal(read_slice(tmp_path / "a.nii.gz", 1), volume[1])


def test_image_is_its_only_plane(tmp_path):
    Image.fromarray(noise(0, (4, 5, 3))).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_slice(tmp_path / "a.png", 0), noise(0, (4, 5, 3)))


def test_contrast_is_that_of_the_volume_not_of_a_slice(tmp_path):
    volume = np.zeros((10, 8, 8), np.float32)
    volume[5] = 100
    volume[0, 0, 0] = np.nan
    nib.save(nib.Nifti1Image(volume.T, np.eye(4)), tmp_path / "a.nii")
    assert contrast_limits(tmp_path / "a.nii") == (0, 100)


def test_contrast_of_a_few_bright_pixels_is_their_own(tmp_path):
    volume = np.zeros((10, 20, 20), np.uint16)
    volume[5, 5, 5] = 900
    nib.save(nib.Nifti1Image(volume.T, np.eye(4)), tmp_path / "a.nii")
    assert contrast_limits(tmp_path / "a.nii") == (0, 900)


def test_gray_is_stretched_and_colours_are_kept():
    assert to_rgb(np.array([[0, 50, 100, 200]]), (0, 100))[0, :, 0].tolist() == [0, 127, 255, 255]
    np.testing.assert_array_equal(to_rgb(noise(0, (4, 5, 4)), (0, 255)), noise(0, (4, 5, 4))[..., :3])


def test_large_images_shrink_by_whole_factors():
    assert shrink(np.zeros((3001, 100, 3), np.uint8)).shape == (1001, 34, 3)
    assert shrink(np.zeros((1500, 20))).shape == (1500, 20)


@pytest.mark.parametrize("factor", [1, 3])
def test_outlines_lie_on_the_borders_of_objects(factor):
    labels = np.zeros((20, 30), int)
    labels[5:15, 5:15], labels[5:15, 15:25] = 1, 2
    drawn = draw_outlines(np.zeros((20, 30, 3), np.uint8), labels.repeat(factor, 0).repeat(factor, 1))
    outlined = (drawn == COLOUR).all(axis=-1)
    expected = np.zeros((20, 30), bool)
    expected[5:15, 5:25] = True
    expected[6:14, 6:14] = expected[6:14, 16:24] = False
    np.testing.assert_array_equal(outlined, expected)


def test_object_of_one_pixel_keeps_its_outline_when_its_image_shrinks():
    labels = np.zeros((40, 60), int)
    labels[13, 22] = 1
    (position,) = np.argwhere((draw_outlines(np.zeros((10, 15, 3), np.uint8), labels) == COLOUR).all(axis=-1)).tolist()
    assert position == [13 // 4, 22 // 4]


def test_small_images_grow_by_whole_factors():
    colours = noise(0, (40, 50, 3))
    grown = enlarge(colours, 199)
    assert grown.shape == (120, 150, 3)
    np.testing.assert_array_equal(grown[1::3, 2::3], colours)
    assert enlarge(colours, 49).shape == (40, 50, 3)


def test_words_about_a_mask():
    mask = np.zeros((10, 10), np.uint8)
    assert summarize(mask) == "nothing found"
    mask[:2, :5] = 255
    assert summarize(mask) == "1 connected region, 10.0% of the pixels"
    mask[5:, :2] = 3
    assert summarize(mask) == "2 objects, 20.0% of the pixels"
    assert summarize(mask, 4) == "4 objects, 20.0% of the pixels"  # of a table
    assert summarize(np.ones((2, 2, 2))).endswith("of the voxels")


def test_table_is_read(tmp_path):
    (tmp_path / "a.csv").write_text('id,"a,b"\n1,2\n3,4\n')
    assert read_table(tmp_path / "a.csv") == (["id", "a,b"], [["1", "2"], ["3", "4"]])
