"""Layers of napari as files for `tools.segment`, and its results as layers."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile

from common.datalist import read_dataset
from common.errors import InputError
from common.reading.images import read_image
from common.reading.tiff import read_pixel_size
from tools.integrations.napari.exchange import keep_correction, parse_sizes, read_result, write_image, write_prompts
from tools.segment.description import describe
from tools.segment.results import Result

VOLUMES, PICTURES = describe("devonet_nsn"), describe("sam_myelin")


@pytest.mark.parametrize(
    ("text", "num_axes", "sizes"), [(" ", 3, None), ("0.5", 2, (0.5, 0.5)), ("2, 0.8,0.8", 3, (2.0, 0.8, 0.8))]
)
def test_sizes_are_one_number_or_one_for_each_axis(text, num_axes, sizes):
    assert parse_sizes(text, num_axes) == sizes


@pytest.mark.parametrize("text", ["a", "1,2", "0", "-1", "nan", "inf"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InputError, match="expected one number above 0, or 3 of them"):
        parse_sizes(text, 3)


def test_a_volume_keeps_its_voxels_and_their_size(tmp_path):
    pixels = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    image = nib.load(write_image(pixels, VOLUMES, tmp_path, (2.0, 0.8, 0.8)))
    np.testing.assert_array_equal(np.asarray(image.dataobj).T, pixels)
    np.testing.assert_allclose(image.header.get_zooms(), (0.8, 0.8, 2.0))


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 3)])
def test_a_picture_keeps_its_pixels_and_their_size(tmp_path, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path = write_image(pixels, PICTURES, tmp_path, (0.01, 0.01))
    np.testing.assert_array_equal(tifffile.imread(path), pixels)
    assert read_pixel_size(path) == pytest.approx((0.01, 0.01), rel=1e-3)
    assert read_pixel_size(write_image(pixels, PICTURES, tmp_path, None)) is None


@pytest.mark.parametrize(
    ("shape", "bundle", "sizes", "message"),
    [
        ((4, 5, 6), PICTURES, None, "sam_myelin takes pictures; choose a slice"),
        ((5, 6), VOLUMES, (1.0, 1.0, 1.0), "devonet_nsn takes gray volumes"),
        ((4, 5, 6), VOLUMES, None, "gives no voxel size"),
    ],
)
def test_a_layer_that_a_bundle_does_not_take_is_refused(tmp_path, shape, bundle, sizes, message):
    with pytest.raises(InputError, match=message):
        write_image(np.zeros(shape, np.uint8), bundle, tmp_path, sizes)


def test_prompts_are_points_and_the_boxes_around_shapes(tmp_path):
    triangle = np.array([[1.0, 2.0], [5.0, 3.0], [2.0, 9.0]])
    overrides = write_prompts(tmp_path, [np.array([4.0, 7.0])], [triangle])
    assert overrides == {"prompt_source": "prompts", "prompts_dir": str(tmp_path)}
    assert (tmp_path / "image_prompts.tsv").read_text().splitlines() == [
        "id\tx\ty\tx_min\ty_min\tx_max\ty_max",
        "1\t7.0\t4.0\tn/a\tn/a\tn/a\tn/a",
        "2\tn/a\tn/a\t2.0\t1.0\t9.0\t5.0",
    ]


def test_without_prompts_nothing_is_written(tmp_path):
    assert write_prompts(tmp_path, [], []) == {} and list(tmp_path.iterdir()) == []


def test_the_table_tells_of_which_label_each_row_is(tmp_path):
    tifffile.imwrite(tmp_path / "image_instances.tif", np.array([[0, 1, 2]], np.uint16))
    (tmp_path / "image_cells.csv").write_text("id,area\n1,5\n2,6\n")
    files = tuple(sorted(tmp_path.iterdir()))
    labels, table = read_result(Result(Path("a.tif"), files[1], files, 0.0))
    assert labels.tolist() == [[0, 1, 2]]
    assert table == {"index": [1, 2], "area": [5.0, 6.0]}
    assert read_result(Result(Path("a.tif"), files[1], files[1:], 0.0))[1] == {}


@pytest.mark.parametrize(
    ("bundle", "shape", "sizes"),
    [(VOLUMES, (3, 4, 5), (2.0, 0.8, 0.8)), (describe("crypt_unet"), (6, 7, 3), (0.5, 0.5))],
)
def test_corrected_labels_are_kept_with_their_layer(tmp_path, bundle, shape, sizes):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    labels = np.zeros(shape[: bundle.num_axes], int)
    labels[0, 0], labels[-1, -1] = 1, 2
    told = keep_correction(pixels, labels, bundle, tmp_path / "kept", sizes, "my layer [1]")
    (item,) = read_dataset(tmp_path / "kept").training
    assert item.name in told and item.name.startswith("images/my_layer_1.")
    np.testing.assert_array_equal(read_image(item.file("image")), pixels)
    np.testing.assert_array_equal(read_image(item.file("label"), labels=True), labels)
