"""Images in blocks by the command line, with a stand-in for the network."""

import json

import nibabel as nib
import numpy as np
import pytest
import tifffile
import zarr
from scipy import ndimage

from common.errors import InputError
from tests.tools.formats.raw_files import write_zarr
from tests.tools.segment.blocks.conftest import blobs, bright_objects
from tools.command_line import run
from tools.segment.commands import segment
from tools.segment.results import read_mask

VERBS = {"segment": ("tools.segment.commands:segment", "")}
SMALL = {"roi_size": [32, 32]}
SMALL_3D = {"roi_size": [8, 16, 16]}
CELLS, NUCLEI, FIBRES = "swinunet_livecell", "nuclei", "sam_myelin"


def same_partition(labels: np.ndarray, expected: np.ndarray) -> bool:
    pairs = np.unique(np.stack([labels, expected]).reshape(2, -1), axis=1)
    return pairs.shape[1] == len(np.unique(labels)) == len(np.unique(expected))


def results(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("size", ["250,300", "640,170", "230,700"])
def test_blocks_give_the_mask_and_the_objects_of_the_whole_picture(stand_in, picture, tmp_path, size):
    image, pixels = picture()
    done = segment(CELLS, str(image), str(tmp_path / "out"), blocks=size, **SMALL)
    assert done["images"] == 1 and stand_in.num_loaded == 1
    mask, labels = bright_objects(pixels)
    found = read_mask(tmp_path / "out" / "a_instances.ome.zarr")[0]
    assert same_partition(found, labels) and found.max() == labels.max()
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "a_mask.ome.zarr")[0], mask)
    assert results(tmp_path / "out") == {"a_instances.ome.zarr", "a_mask.ome.zarr", "segment.json"}


@pytest.mark.parametrize("kind", ["zarr", "nii.gz"])
def test_volumes_are_cut_along_all_axes_and_keep_their_spacing(stand_in, tmp_path, kind):
    volume, image = blobs((80, 200, 150)), tmp_path / f"a.{kind}"
    if kind == "zarr":
        write_zarr(image, volume[None, None, None], spacing=(1.75, 0.8, 0.8))
    else:
        nib.save(nib.Nifti1Image(volume.T, np.diag([0.8, 0.8, 1.75, 1])), image)
    segment(NUCLEI, str(image), str(tmp_path / "out"), blocks="40,100,75", **SMALL_3D)
    labels, spacing = read_mask(tmp_path / "out" / "a_instances.ome.zarr")
    assert same_partition(labels, bright_objects(volume)[1]) and spacing == pytest.approx((1.75, 0.8, 0.8))
    assert labels.shape == volume.shape


def test_volume_with_a_sheared_affine_is_refused(tmp_path):
    affine = np.diag([0.8, 0.8, 1.75, 1])
    affine[0, 1] = 0.3
    nib.save(nib.Nifti1Image(blobs((20, 40, 40)).T, affine), tmp_path / "a.nii")
    with pytest.raises(InputError, match=r"a\.nii: .* not at right angles .* --memory"):
        segment(NUCLEI, str(tmp_path / "a.nii"), str(tmp_path / "out"), blocks="20,20,20", **SMALL_3D)


def test_every_block_is_scaled_by_the_gray_values_of_the_whole_image(stand_in, picture, tmp_path):
    image, pixels = picture(tile=(64, 64))
    segment(CELLS, str(image), str(tmp_path / "out"), blocks="250,300", **SMALL)
    assert len(stand_in.seen) == 9
    for sample in stand_in.seen:
        wanted = [0, 0.5, 50, 99.5, 100]
        np.testing.assert_array_equal(np.percentile(sample, wanted), np.percentile(pixels, wanted))


def test_a_call_that_was_stopped_goes_on_with_the_blocks_that_are_missing(stand_in, picture, tmp_path):
    image, pixels = picture()
    command = ["segment", CELLS, str(image), str(tmp_path / "out"), "--blocks", "250,300", "--roi_size", "[32,32]"]

    def stop(pixels):
        if len(stand_in.seen) == 4:
            raise KeyboardInterrupt

    stand_in.before = stop
    assert run(VERBS, command) == 130
    assert results(tmp_path / "out") == {".blocks-a", "segment.json"}
    min((tmp_path / "out" / ".blocks-a").glob("0*.npz")).write_bytes(b"cut short")
    stand_in.before = lambda pixels: None
    assert run(VERBS, command) == 0 and len(stand_in.seen) == 10
    assert same_partition(read_mask(tmp_path / "out" / "a_instances.ome.zarr")[0], bright_objects(pixels)[1])
    assert run(VERBS, command) == 0 and len(stand_in.seen) == 10 and ".blocks-a" not in results(tmp_path / "out")


def test_other_blocks_or_another_image_begin_anew(stand_in, picture, tmp_path):
    image, pixels = picture()

    def stop(pixels):
        if len(stand_in.seen) == 3:
            raise KeyboardInterrupt

    stand_in.before = stop
    with pytest.raises(KeyboardInterrupt):
        segment(CELLS, str(image), str(tmp_path / "out"), blocks="250,300", **SMALL)
    stand_in.before = lambda pixels: None
    segment(CELLS, str(image), str(tmp_path / "out"), blocks="320,350", **SMALL)
    assert len(stand_in.seen) == 3 + 4
    assert same_partition(read_mask(tmp_path / "out" / "a_instances.ome.zarr")[0], bright_objects(pixels)[1])


def test_a_block_that_fails_is_reported_by_its_place_and_the_others_are_written(stand_in, picture, tmp_path, capsys):
    image, pixels = picture()
    corner = pixels[-5:, -5:]

    def fail(seen):
        if np.array_equal(seen[-5:, -5:], corner):
            raise RuntimeError("out of luck")

    stand_in.before = fail
    command = ["segment", CELLS, str(image), str(tmp_path / "out"), "--blocks", "320,350", "--roi_size", "[32,32]"]
    assert run(VERBS, command) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"{image}: block at y 320:640, x 350:700: RuntimeError: out of luck (1 of 4 blocks failed" in error
    mask = read_mask(tmp_path / "out" / "a_mask.ome.zarr")[0]
    expected = bright_objects(pixels)[0].astype(np.uint8)
    assert not mask[320:, 350:].any()
    np.testing.assert_array_equal(mask[:320], expected[:320])
    about = dict(zarr.open_group(tmp_path / "out" / "a_mask.ome.zarr", mode="r").attrs)
    assert about["missing_blocks"] == ["block at y 320:640, x 350:700"]
    stand_in.before = lambda pixels: None
    assert run(VERBS, command) == 0 and len(stand_in.seen) == 4, "only the one that failed is done"
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "a_mask.ome.zarr")[0], expected)


def test_only_images_that_need_more_than_the_memory_are_cut(stand_in, picture, tmp_path):
    picture("small.tif", (40, 50))
    _, pixels = picture("large.tif", (640, 700))
    segment(CELLS, str(tmp_path / "*.tif"), str(tmp_path / "out"), memory="0.08", **SMALL)
    expected = {"large_instances.ome.zarr", "large_mask.ome.zarr", "small_instances.tif", "small_mask.tif"}
    assert results(tmp_path / "out") == expected | {"segment.json"}
    assert same_partition(read_mask(tmp_path / "out" / "large_instances.ome.zarr")[0], bright_objects(pixels)[1])


def test_labels_are_saved_in_further_formats(stand_in, picture, tmp_path):
    image, pixels = picture()
    segment(CELLS, str(image), str(tmp_path / "out"), blocks="250,300", save="ome-tiff,csv", **SMALL)
    labels = bright_objects(pixels)[1]
    assert same_partition(tifffile.imread(tmp_path / "out" / "a_labels.ome.tif"), labels)
    assert len((tmp_path / "out" / "a_labels.csv").read_text().splitlines()) == labels.max() + 1


@pytest.mark.parametrize(
    ("bundle", "options", "problem"),
    [
        ("crypt_unet", {"blocks": "60,70"}, "crypt_unet: cannot segment in blocks"),
        (CELLS, {"blocks": "60,70,80"}, "--blocks 60,70,80: swinunet_livecell takes Y,X"),
        (CELLS, {"blocks": "60,0"}, "--blocks 60,0: expected the size of a block in pixels"),
        (CELLS, {"blocks": "60,70", "mode": "resize"}, "--mode resize: swinunet_livecell segments in blocks only with"),
        (FIBRES, {"blocks": "60,70", "prompt_source": "prompts"}, "--prompt_source prompts: .* only with auto"),
        (FIBRES, {"blocks": "60,70", "refine": True}, "--refine True: .* only with False"),
        (CELLS, {"memory": "none"}, "--memory none: expected a number above 0"),
        (CELLS, {"memory": "0.0001"}, "the smallest blocks, .* give more"),
        (CELLS, {"memory": "0.00001", "blocks": "9,9", "save": "csv"}, "--save csv takes its labels as a whole"),
    ],
)
def test_what_cannot_be_cut_is_refused_in_words(stand_in, picture, tmp_path, bundle, options, problem):
    image, _ = picture()
    with pytest.raises(InputError, match=problem):
        segment(bundle, str(image), str(tmp_path / "out"), **(SMALL if bundle == CELLS else {}) | options)
    assert not stand_in.seen


def test_volume_without_pixel_size_and_damaged_pixels_are_told_in_one_line(stand_in, tmp_path, capsys):
    write_zarr(tmp_path / "a.ome.zarr", blobs((1, 1, 1, 20, 40, 40)), spacing=None)
    command = ["segment", NUCLEI, str(tmp_path / "a.ome.zarr"), "--blocks", "20,20,20"]
    assert run(VERBS, [*command, "--destination", str(tmp_path / "out")]) == 1
    assert "a.ome.zarr: gives no voxel size" in capsys.readouterr().err.splitlines()[-1]
    chunk = max(path for path in (tmp_path / "a.ome.zarr").rglob("*") if path.is_file() and path.name == "0")
    chunk.write_bytes(chunk.read_bytes()[:50])
    assert run(VERBS, [*command, "--spacing", "2,1,1", "--destination", str(tmp_path / "other")]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "a.ome.zarr: " in error and "cut short" in error


def test_what_is_decided_once_is_decided_by_the_middle_and_classes_and_table_are_put_together(
    stand_in, picture, tmp_path
):
    image, pixels = picture(shape=(2201, 2300))
    segment(FIBRES, str(image), str(tmp_path / "out"), blocks="1000,1200")
    (middle,) = stand_in.looked
    np.testing.assert_array_equal(middle, pixels[77 : 77 + 2047, 126 : 126 + 2048])
    assert stand_in.followed == ["looked_0.json"] * 6
    names = {"a_axonmyelin.ome.zarr", "a_fibres.ome.zarr", "a_morphometrics.csv"}
    assert results(tmp_path / "out") == names | {"segment.json"}
    mask, labels = bright_objects(pixels)
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "a_axonmyelin.ome.zarr")[0], 127 * mask)
    found = read_mask(tmp_path / "out" / "a_fibres.ome.zarr")[0]
    assert same_partition(found, labels)
    table = np.loadtxt(tmp_path / "out" / "a_morphometrics.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(table[:, 0], np.arange(1, labels.max() + 1))
    np.testing.assert_array_equal(table[:, 3], np.bincount(found.ravel())[1:])
    np.testing.assert_allclose(table[:, 1:3], ndimage.center_of_mass(mask, found, table[:, 0].astype(int)), rtol=1e-5)


def test_where_the_middle_says_nothing_it_is_looked_elsewhere_once(stand_in, picture, tmp_path):
    image, pixels = picture(shape=(2201, 2300))
    corner = pixels[:2047, :2048]
    stand_in.is_sure = lambda seen: np.array_equal(seen, corner)
    stand_in.before = lambda seen: len(stand_in.followed) < 2 or _stop()
    with pytest.raises(KeyboardInterrupt):
        segment(FIBRES, str(image), str(tmp_path / "out"), blocks="1000,1200")
    stand_in.before = lambda seen: None
    segment(FIBRES, str(image), str(tmp_path / "out"), blocks="1000,1200")
    assert len(stand_in.looked) == 5 and np.array_equal(stand_in.looked[-1], corner)
    assert stand_in.followed == ["looked_4.json"] * 6


def test_blocks_follow_the_middle_where_no_part_says_anything(stand_in, picture, tmp_path, capsys):
    image, _ = picture(shape=(2060, 2100))
    stand_in.is_sure = lambda seen: False
    segment(FIBRES, str(image), str(tmp_path / "out"), blocks="2060,1100")
    assert len(stand_in.looked) == 9 and stand_in.followed == ["looked_0.json"] * 2
    shown = capsys.readouterr().err
    assert "a: first look:   0%" in shown and "image" not in shown  # a bar of no images would never fill


def _stop() -> None:
    raise KeyboardInterrupt


def test_stores_say_that_they_are_labels_and_what_of(stand_in, picture, tmp_path):
    image, _ = picture()
    segment(CELLS, str(image), str(tmp_path / "out"), blocks="250,300", **SMALL)
    about = json.loads((tmp_path / "out" / "a_instances.ome.zarr" / "zarr.json").read_text())["attributes"]["ome"]
    assert about["image-label"] and about["multiscales"][0]["name"] == "a.tif"
