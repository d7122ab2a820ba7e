"""TIFF stacks as they come from a microscope."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile

from common.errors import InputError
from common.reading.tiff import read_spacing
from tests.tools.formats.raw_files import WRITERS, drawn
from tools.convert.stacks import find_stacks, tiff


def write_stack(path: Path, seed: int = 0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    volume = np.random.default_rng(seed).integers(0, 4000, (4, 6, 5), dtype=np.uint16)
    tifffile.imwrite(path, volume, photometric="minisblack")
    return volume


def test_one_file_becomes_one_testing_image(tmp_path):
    volume = write_stack(tmp_path / "embryo 1.tif")
    tiff(str(tmp_path / "embryo 1.tif"), str(tmp_path / "out"), spacing="2,0.8,0.5")
    datalist = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert datalist["training"] == [] and datalist["testing"] == [{"image": "images/embryo 1.nii.gz"}]
    image = nib.load(tmp_path / "out" / datalist["testing"][0]["image"])
    assert np.array_equal(np.asarray(image.dataobj).T, volume)
    assert np.allclose(image.header.get_zooms(), (0.5, 0.8, 2.0)) and image.header.get_xyzt_units()[0] == "micron"


@pytest.mark.parametrize("kind", ["imagej", "from top to bottom", "ome"])
def test_spacing_that_the_file_contradicts_is_told(tmp_path, caplog, kind):
    volume = np.ones((4, 6, 5), np.uint16)
    if kind != "ome":
        about = {"imagej": True, "resolution": (1 / 0.4, 1 / 0.8)}
        about["metadata"] = {"axes": "ZYX", "spacing": 2.0 if kind == "imagej" else -2.0, "unit": "um"}
    else:
        sizes = {"PhysicalSizeX": 400, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.8, "PhysicalSizeZ": 2.0}
        about = {"ome": True, "metadata": {"axes": "ZYX", **sizes}}
    tifffile.imwrite(tmp_path / "a.tif", volume, **about)
    assert np.allclose(read_spacing(tmp_path / "a.tif"), (2.0, 0.8, 0.4))
    tiff(str(tmp_path / "a.tif"), str(tmp_path / "same"), spacing="2,0.8,0.4")
    assert "spacing" not in caplog.text
    tiff(str(tmp_path / "a.tif"), str(tmp_path / "other"), spacing="1,1,1")
    assert "a.tif: its spacing is (2.0, 0.8" in caplog.text


def test_spacing_of_a_file_that_does_not_say_it(tmp_path):
    write_stack(tmp_path / "a.tif")
    assert read_spacing(tmp_path / "a.tif") is None


def test_folder_of_stacks_in_order_of_their_names(tmp_path):
    (tmp_path / "in" / "folder.tif").mkdir(parents=True)
    for name in ("b.TIFF", "a.tif", "notes.txt"):
        write_stack(tmp_path / "in" / name)
    tiff(str(tmp_path / "in"), str(tmp_path / "out"), spacing="1,1,1")
    testing = json.loads((tmp_path / "out" / "dataset.json").read_text())["testing"]
    assert [item["image"] for item in testing] == ["images/a.nii.gz", "images/b.nii.gz"]


def test_order_is_that_of_the_names_whatever_order_the_folder_is_listed_in(tmp_path, monkeypatch):
    for name in ("a.tif", "b.tif", "c.tif"):
        write_stack(tmp_path / name)
    listed = [tmp_path / name for name in ("b.tif", "c.tif", "a.tif")]
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: iter(listed))
    assert list(find_stacks(tmp_path)) == ["a", "b", "c"]


def test_second_run_writes_only_what_changed(tmp_path):
    for name in ("a.tif", "b.tif"):
        write_stack(tmp_path / "in" / name)
    tiff(str(tmp_path / "in"), str(tmp_path / "out"), spacing="1,1,1")
    times = {name: (tmp_path / "out" / "images" / f"{name}.nii.gz").stat().st_mtime_ns for name in "ab"}
    changed = write_stack(tmp_path / "in" / "b.tif", seed=1)
    tiff(str(tmp_path / "in"), str(tmp_path / "out"), spacing="1,1,1")
    assert (tmp_path / "out" / "images" / "a.nii.gz").stat().st_mtime_ns == times["a"]
    assert np.array_equal(np.asarray(nib.load(tmp_path / "out" / "images" / "b.nii.gz").dataobj).T, changed)


def test_two_stacks_of_one_name_are_refused(tmp_path):
    for name in ("a.tif", "a.tiff"):
        write_stack(tmp_path / "in" / name)
    with pytest.raises(InputError, match="a.tiff: its results would have the same name as those of"):
        tiff(str(tmp_path / "in"), str(tmp_path / "out"), spacing="1,1,1")


def test_colours_are_refused_before_anything_is_written(tmp_path):
    write_stack(tmp_path / "in" / "a.tif")
    tifffile.imwrite(tmp_path / "in" / "b.tif", np.zeros((8, 8, 3), np.uint8), photometric="rgb")
    with pytest.raises(InputError, match="b.tif: 3 samples per pixel"):
        tiff(str(tmp_path / "in"), str(tmp_path / "out"), spacing="1,1,1")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_nothing_to_convert(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        tiff(str(tmp_path / name), str(tmp_path / "out"), spacing="1,1,1")


RAW = ["a.czi", "a.zarr", "a.oif"]


@pytest.mark.parametrize("name", RAW)
def test_each_frame_of_a_microscopes_file_is_a_volume_of_its_own_spacing(tmp_path, name):
    pixels = drawn(times=2, channels=2, depth=3)
    WRITERS[name](tmp_path / name, pixels)
    with pytest.raises(InputError, match=f"{name}: 2 channels, expected one: 0 DAPI, 1 GFP; give its --channel"):
        tiff(str(tmp_path / name), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    tiff(str(tmp_path / name), str(tmp_path / "out"), channel="GFP")
    datalist = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert datalist["spacing"] == [2.0, 0.5, 0.5] and len(datalist["testing"]) == 2
    for item, expected in zip(datalist["testing"], pixels[0, :, 1], strict=True):
        image = nib.load(tmp_path / "out" / item["image"])
        np.testing.assert_array_equal(np.asarray(image.dataobj).T, expected)
        np.testing.assert_allclose(image.header.get_zooms(), (0.5, 0.5, 2.0))


def test_another_channel_is_converted_anew(tmp_path):
    pixels = drawn(channels=2, depth=3)
    WRITERS["a.zarr"](tmp_path / "a.zarr", pixels)
    for channel in (0, 1, 1):
        tiff(str(tmp_path / "a.zarr"), str(tmp_path / "out"), channel=str(channel))
        image = nib.load(tmp_path / "out" / "images" / "a.nii.gz")
        np.testing.assert_array_equal(np.asarray(image.dataobj).T, pixels[0, 0, channel])
        times = (tmp_path / "out" / "images" / "a.nii.gz").stat().st_mtime_ns
    tiff(str(tmp_path / "a.zarr"), str(tmp_path / "out"), channel="1")
    assert (tmp_path / "out" / "images" / "a.nii.gz").stat().st_mtime_ns == times


def test_size_that_nobody_tells_is_asked_for(tmp_path):
    write_stack(tmp_path / "in" / "a.tif")
    with pytest.raises(InputError, match="a.tif: gives no voxel size; give the spacing .* --spacing"):
        tiff(str(tmp_path / "in"), str(tmp_path / "out"))
    WRITERS["a.czi"](tmp_path / "in" / "b.czi", drawn(depth=2))
    tiff(str(tmp_path / "in"), str(tmp_path / "out"), spacing="2,0.5,0.5")
    assert {path.name for path in (tmp_path / "out" / "images").iterdir()} == {"a.nii.gz", "b.nii.gz"}


def test_results_beside_their_images_are_not_converted(tmp_path):
    for name in ("a.tif", "a_mask.tif", "a_instances.tif", "b_mask.tif"):
        write_stack(tmp_path / "in" / name)
    assert set(find_stacks(tmp_path / "in")) == {"a", "b_mask"}


def test_single_slices_of_one_folder_are_told(tmp_path, caplog):
    for z in range(3):
        (tmp_path / "in").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "in" / f"z{z}.btf", np.full((6, 5), z, np.uint16), photometric="minisblack")
    assert tiff(str(tmp_path / "in"), str(tmp_path / "out"), spacing="1,1,1")["images"] == 3
    assert "z0.btf and 2 others: single slices, each of which becomes a volume of its own" in caplog.text
