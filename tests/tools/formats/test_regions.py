import gzip
import shutil

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from common.errors import InputError
from tests.tools.formats.raw_files import SPACING, WRITERS, drawn, write_zarr
from tools.formats.regions import open_regions
from tools.formats.scenes import Pick

WHERE = (slice(1, 3), slice(5, 24), slice(7, 30))


def volumes(folder):
    """Files that hold the same volume."""
    pixels = drawn(depth=4)
    volume = pixels[0, 0, 0]
    write_zarr(folder / "a.ome.zarr", pixels)
    WRITERS["a.czi"](folder / "a.czi", pixels)
    about = {"axes": "ZYX", **dict(zip(("PhysicalSizeZ", "PhysicalSizeY", "PhysicalSizeX"), SPACING, strict=True))}
    for name, options in {"plain": {}, "tiles": {"tile": (16, 16)}, "zlib": {"compression": "zlib"}}.items():
        tifffile.imwrite(folder / f"{name}.ome.tif", volume, photometric="minisblack", metadata=about, **options)
    image = nib.Nifti1Image(volume.T, np.diag([*SPACING[::-1], 1.0]))
    for name in ("a.nii", "a.nii.gz"):
        nib.save(image, folder / name)
    return volume, sorted(folder.iterdir())


def test_all_formats_give_the_same_region(tmp_path):
    (tmp_path / "files").mkdir()
    volume, files = volumes(tmp_path / "files")
    assert len(files) == 7
    for path in files:
        with open_regions(path, num_axes=3, scratch=tmp_path) as regions:
            assert (regions.shape, regions.dtype, regions.is_lazy) == (volume.shape, volume.dtype, True), path
            assert regions.spacing == pytest.approx(SPACING), path
            np.testing.assert_array_equal(regions.read(WHERE), volume[WHERE], str(path))


@pytest.mark.parametrize("name", ["a.tif", "tiles.ome.tif", "a.png", "no_ending"])
def test_pictures_are_read_in_parts_too(tmp_path, name):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8)
    if name.endswith("tif"):
        tifffile.imwrite(tmp_path / name, pixels, photometric="minisblack", tile=(16, 16) if "tiles" in name else None)
    else:
        Image.fromarray(pixels).save(tmp_path / name, format="PNG")
    with open_regions(tmp_path / name, num_axes=2, scratch=tmp_path) as regions:
        assert regions.is_lazy == name.endswith("tif")
        np.testing.assert_array_equal(regions.read(WHERE[1:]), pixels[WHERE[1:]])


def test_the_picked_channel_and_time_of_a_series_is_read(tmp_path):
    pixels = drawn(times=2, channels=3, depth=4)
    write_zarr(tmp_path / "a.ome.zarr", pixels)
    with open_regions(tmp_path / "a.ome.zarr", num_axes=3, scratch=tmp_path, pick=Pick("", "2", "1")) as regions:
        np.testing.assert_array_equal(regions.read(WHERE), pixels[0, 1, 2][WHERE])


def test_affine_and_scaled_values_of_nifti_are_kept(tmp_path):
    affine = np.array([[0, 0, 2.0, 5], [0.5, 0, 0, 1], [0, -0.5, 0, 2], [0, 0, 0, 1]])
    image = nib.Nifti1Image(drawn(depth=4)[0, 0, 0].T.astype(np.int16), affine)
    image.header.set_slope_inter(0.5, 10)
    nib.save(image, tmp_path / "a.nii")
    with open_regions(tmp_path / "a.nii", num_axes=3, scratch=tmp_path) as regions:
        np.testing.assert_array_equal(regions.affine, nib.load(tmp_path / "a.nii").affine)
        whole = nib.load(tmp_path / "a.nii").get_fdata(dtype=np.float32).T
        assert regions.dtype == np.float32
        np.testing.assert_array_equal(regions.read(WHERE), whole[WHERE])


def cut_zarr(path, what):
    write_zarr(path, drawn(depth=4), spacing=None if what == "no size" else SPACING)
    (array,) = (file.parent for file in path.glob("*/zarr.json"))
    chunk = next(file for file in sorted(array.rglob("*")) if file.is_file() and file.name != "zarr.json")
    if what == "chunk":
        chunk.write_bytes(chunk.read_bytes()[:-100])
    elif what == "metadata":
        (array / "zarr.json").write_text((array / "zarr.json").read_text()[:50])
    elif what == "array":
        shutil.rmtree(array)


@pytest.mark.parametrize("what", ["chunk", "metadata", "array"])
def test_zarr_that_is_cut_short_is_refused_in_one_line(tmp_path, what):
    path = tmp_path / "a.ome.zarr"
    cut_zarr(path, what)
    with (
        pytest.raises(InputError, match=r"a\.ome\.zarr: .*(copy|export)") as caught,
        open_regions(path, num_axes=3, scratch=tmp_path) as regions,
    ):
        regions.read(WHERE)
    assert "\n" not in str(caught.value)


def test_zarr_without_pixel_size_says_so(tmp_path):
    cut_zarr(tmp_path / "a.ome.zarr", "no size")
    with open_regions(tmp_path / "a.ome.zarr", num_axes=3, scratch=tmp_path) as regions:
        assert regions.spacing == (None, None, None)


def test_what_goes_wrong_beside_the_file_is_not_blamed_on_it(tmp_path):
    write_zarr(tmp_path / "a.ome.zarr", drawn(depth=4))
    with (
        pytest.raises(RuntimeError, match="the network"),
        open_regions(tmp_path / "a.ome.zarr", num_axes=3, scratch=tmp_path),
    ):
        raise RuntimeError("the network")


def test_volumes_and_pictures_are_told_apart(tmp_path):
    nib.save(nib.Nifti1Image(drawn(depth=4)[0, 0, 0].T, np.eye(4)), tmp_path / "a.nii")
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(b"nothing"))
    for name, num_axes, problem in (
        ("a.nii", 2, "expected images of two axes"),
        ("b.nii.gz", 3, "not a known microscope format"),
    ):
        with (
            pytest.raises(InputError, match=problem),
            open_regions(tmp_path / name, num_axes=num_axes, scratch=tmp_path),
        ):
            pass
