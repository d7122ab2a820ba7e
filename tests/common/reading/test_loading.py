"""What cannot be read is told, also by a thread or a worker process."""

import gzip
import math

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import Dataset

from common.errors import InputError
from common.reading.loading import CheckedLoadImage, CheckedLoadImaged, CheckVolumed
from common.reading.nifti import read_plane, read_spacing, read_volume, read_volume_onto
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


def test_damage_that_only_the_checksum_tells(write_volume):
    volume = np.random.default_rng(0).integers(0, 16, (16, 16, 16), dtype=np.uint8)
    path = write_volume("a.nii.gz", volume)
    content = path.read_bytes()
    for place in range(600, len(content) - 8, 97):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        for read in (load, read_volume):
            with pytest.raises(InputError, match=r"a.nii.gz: cannot be read as a gray volume"):
                read(path)


def test_voxels_do_not_begin_in_the_header(write_volume):
    path = write_volume("a.nii", np.ones((4, 4, 4), np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[:108] + bytes(4) + content[112:])
    for read in (load, read_volume):
        with pytest.raises(InputError, match=r"a.nii: .* first voxel at byte 0"):
            read(path)


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


def load_pair(tmp_path, labels, affine, **codes) -> dict:
    """An image of 5 x 4 x 3 voxels and its labels, by their headers."""
    for name, voxels, place in (("image", np.ones((5, 4, 3), np.float32), PLACE), ("label", labels, affine)):
        image = nib.Nifti1Image(voxels, place)
        if name == "label" and codes:
            image.header.set_sform(None, 0)
            image.header.set_qform(None, 0)
        nib.save(image, tmp_path / f"{name}.nii.gz")
    paths = {name: str(tmp_path / f"{name}.nii.gz") for name in ("image", "label")}
    return CheckVolumed(["image", "label"])(CheckedLoadImaged(["image", "label"], ensure_channel_first=True)(paths))


PLACE = np.array([[0.5, 0, 0, 10], [0, 0.5, 0, -3], [0, 0, 2, 1], [0, 0, 0, 1]], float)
LABELS = np.arange(60, dtype=np.uint16).reshape(5, 4, 3)


@pytest.mark.parametrize("axes", [[0], [1], [2], [0, 2], [0, 1, 2]])
def test_label_stored_with_axes_reversed_is_turned_onto_the_grid_of_its_image(tmp_path, axes):
    affine = PLACE.copy()
    for axis in axes:
        affine[:, 3] += affine[:, axis] * (LABELS.shape[axis] - 1)
        affine[:, axis] *= -1
    data = load_pair(tmp_path, np.flip(LABELS, axes), affine)
    np.testing.assert_array_equal(data["label"][0], LABELS)
    np.testing.assert_allclose(data["label"].affine, PLACE)


def test_label_stored_with_axes_swapped_is_turned_onto_the_grid_of_its_image(tmp_path):
    data = load_pair(tmp_path, LABELS.transpose(2, 0, 1), PLACE[:, [2, 0, 1, 3]])
    np.testing.assert_array_equal(data["label"][0], LABELS)


def test_axes_in_another_order_than_is_taken_for_granted(tmp_path, caplog):
    for order in ([0, 1, 2, 3], [2, 0, 1, 3]):
        nib.save(nib.Nifti1Image(np.ones((5, 4, 3), np.float32), PLACE[:, order]), tmp_path / "a.nii")
        CheckVolumed("image")({"image": load(tmp_path / "a.nii")})
    (record,) = caplog.records
    assert "a.nii: its axes are Z, X, Y by its header, but are taken for X, Y, Z" in record.getMessage()


def test_label_that_lies_elsewhere_is_refused(tmp_path):
    away, coarse = PLACE.copy(), PLACE.copy()
    away[0, 3] += 30
    coarse[2, 2] = 1
    for affine in (away, coarse):
        with pytest.raises(InputError, match=r"label.nii.gz: label lies elsewhere than its image, .* um away"):
            load_pair(tmp_path, LABELS, affine)


@pytest.mark.parametrize(("part", "is_there"), [(0.2, True), (-0.2, True), (0.3, False)])
@pytest.mark.parametrize("axis", range(3))
def test_label_a_quarter_of_a_voxel_away_is_on_the_grid_of_its_image(tmp_path, axis, part, is_there):
    affine = PLACE.copy()
    affine[axis, 3] += part * PLACE[axis, axis]
    if is_there:
        np.testing.assert_array_equal(load_pair(tmp_path, LABELS, affine)["label"][0], LABELS)
    else:
        with pytest.raises(InputError, match=r"label.nii.gz: label lies elsewhere"):
            load_pair(tmp_path, LABELS, affine)


def test_labels_that_floats_do_not_tell_apart_are_refused(tmp_path):
    highest = (LABELS > 0) * np.int32(2**24 - 1)
    assert load_pair(tmp_path, highest, PLACE)["label"].max() == 2**24 - 1
    for more in (1, 2):  # both are 2 ** 24 in 32 bit
        with pytest.raises(InputError, match=r"label.nii.gz: labels from .* expected whole numbers from 0 to 16777215"):
            load_pair(tmp_path, highest + np.int32(more) * (LABELS == 7), PLACE)


def test_label_whose_header_says_no_place_is_taken_as_it_lies_if_its_voxels_are_as_large(tmp_path):
    data = load_pair(tmp_path, LABELS, PLACE, sform_code=0)
    np.testing.assert_array_equal(data["label"][0], LABELS)
    with pytest.raises(InputError, match=r"label.nii.gz: label lies elsewhere"):
        load_pair(tmp_path, LABELS, np.eye(4), sform_code=0)


def test_spacing_is_that_of_the_sform_whatever_pixdim_says(tmp_path):
    image = nib.Nifti1Image(np.ones((5, 4, 3), np.float32), PLACE)
    image.header.set_qform(None, 0)
    image.header["pixdim"][1:4] = 1
    nib.save(image, tmp_path / "a.nii")
    assert read_spacing(tmp_path / "a.nii") == (2.0, 0.5, 0.5)
    np.testing.assert_allclose(load(tmp_path / "a.nii").pixdim, (0.5, 0.5, 2.0))


def test_metadata_come_beside_the_image_where_they_are_asked_for(write_volume):
    path = write_volume("a.nii.gz", np.zeros((3, 4, 5), np.float32))
    read = CheckedLoadImaged("image", ensure_channel_first=True)
    read._loader.image_only = False  # as MONAI Label does
    item = read({"image": str(path)})
    assert torch.equal(torch.as_tensor(item["image_meta_dict"]["affine"]), load(path).affine)
    assert torch.equal(item["image"], load(path))


def test_axes_of_length_one_behind_the_third_are_left_out(tmp_path):
    nib.save(nib.Nifti1Image(LABELS[..., None], PLACE), tmp_path / "a.nii")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii"), LABELS.T)
    np.testing.assert_array_equal(read_plane(tmp_path / "a.nii", 1), LABELS[:, :, 1].T)
    np.testing.assert_array_equal(load(tmp_path / "a.nii")[0], LABELS)
    nib.save(nib.Nifti1Image(np.stack([LABELS] * 2, axis=-1), PLACE), tmp_path / "b.nii")
    with pytest.raises(InputError, match="b.nii: 4 dimensions .* expected a volume of three"):
        read_volume(tmp_path / "b.nii")


@pytest.mark.parametrize("dim", [[3, -5, 4, 3, 1, 1, 1, 1], [3, 30000, 30000, 300, 1, 1, 1, 1]])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_header_that_claims_what_the_file_cannot_hold(tmp_path, name, dim):
    nib.save(nib.Nifti1Image(LABELS, PLACE), tmp_path / "sound.nii")
    content = bytearray((tmp_path / "sound.nii").read_bytes())
    content[40:56] = np.array(dim, "<i2").tobytes()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    for read in (load, read_volume, read_spacing):
        with pytest.raises(InputError, match=rf"{name}: cannot be read as a gray volume"):
            read(tmp_path / name)


@pytest.mark.parametrize("labels", [LABELS * np.float32(0.5), -LABELS.astype(np.int16), LABELS * np.int32(1 << 24)])
def test_label_that_is_no_label_image_is_refused(tmp_path, labels):
    with pytest.raises(InputError, match=r"label.nii.gz: labels from \S+ to \S+, expected whole numbers from 0 to 167"):
        load_pair(tmp_path, labels, PLACE)


@pytest.mark.parametrize(("unit", "size", "found"), [("mm", 0.02, "20 x 20 x 20"), ("meter", 5e-7, "0.5 x 0.5 x 0.5")])
def test_millimetres_that_are_a_microscopes_are_not_taken_for_micrometres(tmp_path, unit, size, found):
    for name, step in (("small.nii", size), ("whatever.nii", 0.5)):
        image = nib.Nifti1Image(LABELS, np.diag([step, step, step, 1]))
        image.header.set_xyzt_units(unit)
        nib.save(image, tmp_path / name)
    for read in (load, read_spacing):
        with pytest.raises(InputError, match=f"small.nii: its header says m.*, by which its voxels are {found} um"):
            read(tmp_path / "small.nii")
    assert read_spacing(tmp_path / "whatever.nii") == (0.5, 0.5, 0.5)  # of programs that write this unit always


def test_axes_in_one_direction_are_refused(tmp_path):
    affine = np.diag([0.5, 0.5, 2.0, 1.0])
    affine[:3, 1] = affine[:3, 0]
    volume = nib.Nifti1Image(np.ones((3, 4, 5), np.uint8), affine)
    nib.save(volume, tmp_path / "flat.nii")
    nib.save(nib.Nifti1Image(np.ones((3, 4, 5), np.uint8), np.eye(4)), tmp_path / "sound.nii")
    for read in (CheckedLoadImage(), read_spacing, lambda path: read_volume_onto(path, tmp_path / "sound.nii")):
        with pytest.raises(InputError, match=r"flat.nii: by its header two of its axes lie in one direction"):
            read(tmp_path / "flat.nii")
    with pytest.raises(InputError, match=r"flat.nii: by its header two of its axes lie in one direction"):
        read_volume_onto(tmp_path / "sound.nii", tmp_path / "flat.nii")


@pytest.mark.parametrize("row", [(0, 0, 0, 0), (0, 0, math.nan, 0), (0, 0, 2, math.inf)])
def test_header_that_says_no_place_for_its_slices_is_refused(tmp_path, row):
    nib.save(nib.Nifti1Image(LABELS, PLACE), tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[312:328] = np.array(row, "<f4").tobytes()  # of the sform
    (tmp_path / "a.nii").write_bytes(content)
    for read in (load, read_spacing):
        with pytest.raises(InputError, match=r"a.nii: spacing \(.*\) in its header, expected numbers above 0"):
            read(tmp_path / "a.nii")


def test_size_of_nothing_is_not_taken_for_a_micrometre(tmp_path, caplog):
    volume = nib.Nifti1Image(LABELS, None)
    volume.header["pixdim"][1:4] = (0.5, 0, 2)
    content = bytearray(volume.to_bytes())
    content[76:92] = np.array((1, 0.5, 0, 2), "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    for read in (load, read_spacing):
        with pytest.raises(
            InputError, match=r"a.nii: spacing \(2.0, 0.0, 0.5\) in its header, expected numbers above 0"
        ):
            read(tmp_path / "a.nii")
    assert "pixdim" not in caplog.text  # in words of nibabel
