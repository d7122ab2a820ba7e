"""Whatever a volume is written in, all that read it read the same array at the same spacing, or refuse it in words."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from common.errors import InputError
from common.reading.images import read_image
from common.reading.nifti import read_spacing as read_nifti_spacing
from common.reading.tiff import read_spacing, read_volume
from tests.tools.formats.raw_files import SPACING, WRITERS
from tests.tools.serve.conftest import VOLUMES
from tools.convert.stacks import tiff as convert
from tools.formats.microscopes import maker_of, read
from tools.formats.scenes import Pick
from tools.segment.inputs import prepare_image
from tools.segment.sources import choose_image

DTYPES = ["uint8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64", "bool", "int64", "complex64"]
PLAIN = ("uint8", "uint16", "int16", "float32")  # which nobody may refuse
SIZES = ("PhysicalSizeZ", "PhysicalSizeY", "PhysicalSizeX")
COMPRESSIONS = [None, "zlib", "lzw", "packbits", "zstd"]
Found = tuple[np.ndarray, tuple[float, ...] | None]


@dataclasses.dataclass(frozen=True)
class Case:
    """A file to be written: a volume for each time and channel, (T, C, Z, Y, X)."""

    container: str
    pixels: np.ndarray
    compression: str | None
    byteorder: str
    photometric: str
    is_tiled: bool
    is_spaced: bool
    affine_signs: tuple[int, int, int]

    @property
    def is_single(self) -> bool:
        return self.pixels.shape[:2] == (1, 1)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    container = draw(st.sampled_from([*WRITERS, "zip", "zarr2", "tiff", "bigtiff", "imagej", "ome", "nii", "nii.gz"]))
    is_raw, is_volume = container in WRITERS or container == "zip", container in ("tiff", "bigtiff", "nii", "nii.gz")
    dtype = "uint16" if is_raw else draw(st.sampled_from(DTYPES))
    counts = (1, 1) if is_volume else (draw(st.integers(1, 2)), draw(st.integers(1, 3)))
    shape = (*counts, draw(st.integers(2, 4)), draw(st.integers(17, 20)), draw(st.integers(21, 24)))
    pixels = np.random.default_rng(sum(shape)).integers(0, 200, shape).astype(dtype)
    return Case(
        container,
        pixels,
        draw(st.sampled_from(COMPRESSIONS)),
        draw(st.sampled_from("<>")),
        draw(st.sampled_from(["minisblack", "minisblack", "miniswhite"])),
        draw(st.booleans()),
        draw(st.integers(0, 3)) > 0,
        draw(st.tuples(*[st.sampled_from([1, -1])] * 3)),
    )


def write(folder: Path, case: Case) -> Path:
    """The file of a case; whatever its writer refuses is no case."""
    spacing = SPACING if case.is_spaced else None
    kind, pixels = case.container, case.pixels
    if kind in WRITERS or kind == "zip":
        path = folder / ("a.zarr" if kind == "zip" else kind)
        WRITERS[path.name](path, pixels[None], spacing=spacing)
        return Path(shutil.make_archive(str(path), "zip", folder, path.name)) if kind == "zip" else path
    if kind == "zarr2":
        return write_old_zarr(folder / "a.zarr", pixels, spacing)
    if kind.startswith("nii"):
        affine = np.diag([*np.multiply(case.affine_signs, SPACING[::-1]), 1.0])
        image = nib.Nifti1Image(pixels[0, 0].T, affine, dtype=pixels.dtype)
        image.header.set_xyzt_units("micron")
        nib.save(image, folder / f"a.{kind}")
        return folder / f"a.{kind}"
    options = {"compression": case.compression, "photometric": case.photometric}
    options |= {"tile": (16, 16) if case.is_tiled else None, "byteorder": case.byteorder}
    if kind == "ome":
        about = {"axes": "TCZYX", **dict(zip(SIZES, spacing or (), strict=False))}
        tifffile.imwrite(folder / "a.ome.tif", pixels, ome=True, metadata=about, **options)
        return folder / "a.ome.tif"
    path = folder / "a.tif"
    if kind == "imagej":
        about = {"axes": "TZCYX", **({"spacing": 2.0, "unit": "um"} if spacing else {})}
        resolution = {"resolution": (2.0, 2.0)} if spacing else {}
        turned = pixels.swapaxes(1, 2)
        tifffile.imwrite(path, turned, imagej=True, compression=case.compression, metadata=about, **resolution)
    else:
        tifffile.imwrite(path, pixels[0, 0], bigtiff=kind == "bigtiff", metadata=None, **options)
    return path


def write_old_zarr(path: Path, pixels: np.ndarray, spacing: tuple[float, ...] | None) -> Path:
    root = zarr.open_group(path, mode="w", zarr_format=2)
    root.create_array("0", data=pixels, chunks=(1, 1, 2, 16, 16))
    scale = [{"type": "scale", "scale": [1.0, 1.0, *spacing]}] if spacing else []
    units = {"unit": "micrometer"} if spacing else {}
    axes = [{"name": axis, **(units if axis in "zyx" else {})} for axis in "tczyx"]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    root.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    return path


def by_segment(path: Path, folder: Path, pick: Pick) -> Found:
    options = choose_image(path, VOLUMES, pick.told())
    volume = nib.load(prepare_image(path, VOLUMES, folder / "prepared", options))
    return np.asarray(volume.dataobj).T, tuple(float(size) for size in volume.header.get_zooms()[::-1])


def by_convert(path: Path, folder: Path, pick: Pick) -> Found:
    convert(path, folder / "converted", **pick.told())
    (made,) = (folder / "converted" / "images").iterdir()
    volume = nib.load(made)
    return np.asarray(volume.dataobj).T, tuple(float(size) for size in volume.header.get_zooms()[::-1])


def by_training(path: Path, folder: Path, pick: Pick) -> Found:
    if path.suffix == ".tif":
        return read_volume(path), read_spacing(path)
    return read_image(path), read_nifti_spacing(path)


def by_scenes(path: Path, folder: Path, pick: Pick) -> Found:
    image = read(path, pick)
    known = tuple(size for size in image.spacing if size is not None)
    return image.pixels, known if len(known) == 3 else None


def entry_points(path: Path, case: Case) -> list[Callable[[Path, Path, Pick], Found]]:
    if case.container.startswith("nii"):
        return [by_segment, by_training]
    found = [by_segment, by_convert, by_scenes]
    return [*found, by_training] if case.is_single and path.suffix == ".tif" and maker_of(path) is None else found


@settings(max_examples=100, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=cases(), data=st.data())
def test_all_that_read_files_agree(tmp_path_factory, case, data):
    folder = tmp_path_factory.mktemp("file")
    try:
        path = write(folder, case)
    except (
        ValueError,
        TypeError,
        KeyError,
        NotImplementedError,
        nib.spatialimages.HeaderDataError,
        tifffile.OmeXmlError,
    ):
        return  # no such file exists
    num_times, num_channels = case.pixels.shape[:2]
    time, channel = data.draw(st.integers(0, num_times - 1)), data.draw(st.integers(0, num_channels - 1))
    pick = Pick() if case.is_single else Pick("", str(channel) if num_channels > 1 else "", str(time))
    expected = case.pixels[time, channel]
    is_white = case.photometric == "miniswhite" and case.container in ("tiff", "bigtiff", "ome")
    if is_white and expected.dtype.kind in "ub":  # of others the highest value is not known
        expected = ~expected if expected.dtype == bool else np.iinfo(expected.dtype).max - expected
    dtype, is_told = case.pixels.dtype.name, case.is_spaced and case.container not in ("tiff", "bigtiff")
    for entry_point in entry_points(path, case):
        pixels, spacing, refusal = None, None, ""
        try:
            pixels, spacing = entry_point(path, folder, pick)
        except InputError as error:
            refusal = str(error)
        event(f"{case.container} {'refused' if pixels is None else 'read'} {entry_point.__name__}")
        if pixels is None:
            may_be = dtype not in PLAIN or (is_white and expected.dtype.kind not in "ub")
            assert path.name in refusal and (may_be or (not is_told and "gives no voxel size" in refusal)), refusal
            continue
        np.testing.assert_array_equal(pixels, expected.astype(pixels.dtype), err_msg=entry_point.__name__)
        assert pixels.dtype == expected.dtype or dtype not in PLAIN
        if spacing is not None:
            assert spacing == pytest.approx(SPACING), entry_point.__name__
