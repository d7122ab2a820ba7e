"""Files whose parts tell different things: every entry point reads what is there, or refuses it in words."""

import gzip
import json
import shutil
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
import zarr
from pylibCZIrw import czi

from common.errors import InputError
from common.reading.slides import open_slide, pixel_size_um
from common.reading.tiff import read_pixel_size, read_volume
from tests.tools.formats.raw_files import SPACING, drawn, write_zarr
from tests.tools.formats.test_same_everywhere import SIZES, Found, by_convert, by_scenes, by_segment
from tools.formats.microscopes import list_images, read
from tools.formats.regions import open_regions
from tools.formats.scenes import Pick

VOLUME = drawn(depth=4)[0, 0, 0]
SIZED = dict(zip(SIZES, SPACING, strict=True))
IMAGEJ = "ImageJ=1.53\nimages={}\nspacing=2.0\nunit=um\n"


def by_blocks(path: Path, folder: Path, pick: Pick) -> Found:
    with open_regions(path, num_axes=3, scratch=folder, pick=pick) as regions:
        return regions.read(tuple(slice(0, length) for length in regions.shape)), regions.spacing


ENTRIES = [by_segment, by_convert, by_scenes, by_blocks]


def write_imagej(folder: Path, told: str) -> Path:
    """Four pages, and what ImageJ's description says of them."""
    description = IMAGEJ.format(told.replace(" ", "\n"))
    options = {"photometric": "minisblack", "resolution": (2.0, 2.0), "resolutionunit": "NONE"}
    tifffile.imwrite(folder / "a.tif", VOLUME, metadata=None, description=description, **options)
    return folder / "a.tif"


def write_ome(folder: Path, before: str, after: str) -> Path:
    path = folder / "a.ome.tif"
    tifffile.imwrite(path, VOLUME, photometric="minisblack", metadata={"axes": "ZYX", **SIZED})
    with tifffile.TiffFile(path) as tiff:
        text = tiff.pages.first.description
    assert before in text
    tifffile.tiffcomment(path, text.replace(before, after).encode())
    return path


def write_planes(folder: Path, places: list[dict[str, int]], **options) -> Path:
    """Planes of a CZI at places along Z, T and C."""
    with czi.create_czi(str(folder / "a.czi")) as document:
        for plane, place in zip(VOLUME, places, strict=False):
            document.write(plane, plane={"Z": 0, "T": 0, "C": 0} | place)
        document.write_metadata("a", scale_x=0.5e-6, scale_y=0.5e-6, scale_z=2e-6, **options)
    return folder / "a.czi"


def write_levels(folder: Path, order: list[int], axes: str = "zyx") -> Path:
    root = zarr.open_group(folder / "a.zarr", mode="w", zarr_format=2)
    datasets = []
    for level in order:
        root.create_array(str(level), data=VOLUME[:, :: 1 << level, :: 1 << level], chunks=(2, 16, 16))
        scale = [SPACING[0], *(size * 2**level for size in SPACING[1:])]
        transformations = [{"type": "scale", "scale": scale}]
        datasets.append({"path": str(level), "coordinateTransformations": transformations})
    told = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in axes]
    root.attrs["multiscales"] = [{"version": "0.4", "axes": told, "datasets": datasets}]
    return folder / "a.zarr"


def claim_chunks(path: Path, shape: list[int]) -> Path:
    """Which would be looked for one by one, for minutes."""
    about = path / "0" / ".zarray"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"shape": shape, "chunks": [1, 4, 20]}))
    return path


def write_macro_first(folder: Path) -> Path:
    with tifffile.TiffWriter(folder / "a.ome.tif", ome=True) as writer:
        macro = {"axes": "YX", "Name": "macro", "PhysicalSizeY": 50, "PhysicalSizeX": 50}
        writer.write(VOLUME[0, ::8, ::8], photometric="minisblack", metadata=macro)
        writer.write(VOLUME, photometric="minisblack", metadata={"axes": "ZYX", "Name": "stack", **SIZED})
    return folder / "a.ome.tif"


RIGHT = {
    "planes of a CZI begin at 2": lambda folder: write_planes(folder, [{"Z": z} for z in (2, 3, 4, 5)]),
    "CZI holds its second channel only": lambda folder: write_planes(folder, [{"Z": z, "C": 1} for z in range(4)]),
    "CZI holds its fifth time point only": lambda folder: write_planes(folder, [{"Z": z, "T": 4} for z in range(4)]),
    "smallest level of an OME-Zarr first": lambda folder: write_levels(folder, [1, 0]),
    "macro image of an OME-TIFF first": write_macro_first,
}
REFUSED = {
    "fewer pages than ImageJ tells": (
        lambda folder: write_imagej(folder, "8 slices=8"),
        "4 planes found.* announces 8",
    ),
    "half of two channels": (
        lambda folder: write_imagej(folder, "6 channels=2 slices=3"),
        "4 planes found.* announces 6",
    ),
    "more pages than ImageJ tells": (lambda folder: write_imagej(folder, "3 slices=3"), "leaves out 1 of them"),
    "fewer pages than OME tells": (
        lambda folder: write_ome(folder, 'SizeZ="4"', 'SizeZ="8"'),
        "announces 4 planes more than it has",
    ),
    "more pages than OME tells": (lambda folder: write_ome(folder, 'SizeZ="4"', 'SizeZ="2"'), "leaves out 2 of them"),
    "every second plane of a CZI": (
        lambda folder: write_planes(folder, [{"Z": z} for z in (0, 2, 4, 6)]),
        "no pixels of time 0, channel 0, slice 1",
    ),
    "OME-Zarr whose level is gone": (
        lambda folder: shutil.rmtree(write_levels(folder, [0]) / "0") or folder / "a.zarr",
        "0 is no array in it",
    ),
    "OME-Zarr of very many chunks": (
        lambda folder: claim_chunks(write_levels(folder, [0]), [400, 400, 400]),
        "says that it has 800000 chunks, in 14 files",
    ),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("what", RIGHT)
def test_what_is_there_is_read(tmp_path, entry, what):
    pixels, spacing = entry(RIGHT[what](tmp_path), tmp_path, Pick())
    np.testing.assert_array_equal(pixels, VOLUME)
    assert spacing == pytest.approx(SPACING)


@pytest.mark.parametrize("pick", [Pick(), Pick(channel="0")])
@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_refused(tmp_path, entry, what, pick):
    write, reason = REFUSED[what]
    with pytest.raises(InputError, match=rf"a\.\S+: .*{reason}"):
        entry(write(tmp_path), tmp_path, pick)


def test_time_point_that_an_aborted_scan_lacks_is_not_taken_for_a_black_plane(tmp_path):
    path = write_planes(tmp_path, [{"Z": 0, "T": 0}, {"Z": 1, "T": 0}, {"Z": 0, "T": 1}])
    np.testing.assert_array_equal(read(path, Pick(time="0")).pixels, VOLUME[:2])
    with pytest.raises(InputError, match=r"a.czi: .*no pixels of time 1, channel 0, slice 1"):
        read(path, Pick(time="1"))


def test_names_of_channels_are_those_of_the_channels_that_are_there(tmp_path):
    path = write_planes(tmp_path, [{"C": 1}, {"C": 2}], channel_names={0: "DAPI", 1: "GFP", 2: "Cy5"})
    np.testing.assert_array_equal(read(path, Pick(channel="Cy5")).pixels, VOLUME[1])


def test_every_image_that_an_ome_zarr_lists_is_one(tmp_path):
    write_zarr(tmp_path / "a.zarr", drawn(depth=4))
    about = tmp_path / "a.zarr" / "zarr.json"
    content = json.loads(about.read_text())
    listed = content["attributes"]["ome"]["multiscales"]
    listed[0]["name"] = "raw"
    listed.append({**listed[0], "name": "deconvolved"})
    about.write_text(json.dumps(content))
    assert [suffix for suffix, _ in list_images(tmp_path / "a.zarr")] == ["_raw", "_deconvolved"]


def test_file_that_holds_one_channel_of_a_set_knows_which(tmp_path):
    data = "".join(
        f'<TiffData FirstC="{c}" IFD="0" PlaneCount="1"><UUID FileName="c{c}.ome.tif">urn:uuid:{c}</UUID></TiffData>'
        for c in (0, 1)
    )
    names = '<Channel ID="Channel:0:0" Name="DAPI"/><Channel ID="Channel:0:1" Name="GFP"/>'
    about = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0" '
        'Name="a"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="40" SizeY="24" SizeZ="1" SizeC="2" '
        f'SizeT="1">{names}{data}</Pixels></Image></OME>'
    )
    for channel, name in enumerate(("DAPI", "GFP")):
        path = tmp_path / f"c{channel}.ome.tif"
        tifffile.imwrite(path, VOLUME[channel], description=about, metadata=None)
        np.testing.assert_array_equal(read(path, Pick(channel=name)).pixels, VOLUME[channel])
        with pytest.raises(InputError, match=f"no channel 'Cy5'; there is one: 0 {name}"):
            read(path, Pick(channel="Cy5"))
    (tmp_path / "c1.ome.tif").rename(tmp_path / "renamed.ome.tif")
    with pytest.raises(InputError, match="no channel 'DAPI'; there is one: 0$"):
        read(tmp_path / "renamed.ome.tif", Pick(channel="DAPI"))


def test_pixel_size_is_that_of_the_image_not_of_the_macro_image_before_it(tmp_path):
    pixels = np.zeros((40, 48, 3), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        for image, name, size in ((pixels[::8, ::8], "macro", 5.0), (pixels, "slide", 0.5)):
            about = {"axes": "YXS", "Name": name, "PhysicalSizeY": size, "PhysicalSizeX": size}
            writer.write(image, photometric="rgb", metadata=about)
    assert read_pixel_size(tmp_path / "a.ome.tif") == (0.5, 0.5)
    with open_slide(tmp_path / "a.ome.tif") as slide:
        assert pixel_size_um(slide) == 0.5


def test_field_that_has_a_name_is_an_image_however_small(tmp_path):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(VOLUME, photometric="minisblack", metadata={"axes": "ZYX", "Name": "stack", **SIZED})
        writer.write(VOLUME[0, :4, :4], photometric="minisblack", metadata={"axes": "YX", "Name": "snapshot"})
    assert [suffix for suffix, _ in list_images(path)] == ["_stack", "_snapshot"]
    np.testing.assert_array_equal(read(path, Pick("snapshot")).pixels, VOLUME[0, :4, :4])
    with pytest.raises(InputError, match=r"a.ome.tif: 2 images in one file \(stack, snapshot\)"):
        read_volume(path)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_positions_in_one_series_are_images_not_slices(tmp_path, compression):
    planes = np.stack([VOLUME, VOLUME + 1], axis=1)
    options = {"photometric": "minisblack", "compression": compression, "metadata": {"axes": "RCYX"}}
    tifffile.imwrite(tmp_path / "a.tif", planes, **options)
    assert [suffix for suffix, _ in list_images(tmp_path / "a.tif", Pick(channel="1"))] == ["_R0", "_R1", "_R2", "_R3"]
    for number in (0, 3):
        np.testing.assert_array_equal(read(tmp_path / "a.tif", Pick(f"R{number}", "1")).pixels, planes[number, 1])
    with open_regions(tmp_path / "a.tif", num_axes=2, scratch=tmp_path, pick=Pick("R2", "1")) as regions:
        np.testing.assert_array_equal(regions.read((slice(3, 20), slice(5, 40))), planes[2, 1, 3:20, 5:40])


@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
@pytest.mark.parametrize("num_channels", [2, 3])
def test_channels_in_the_samples_of_a_pixel_are_chosen_as_all_others(tmp_path, planarconfig, num_channels):
    channels = VOLUME[:num_channels]
    stored = channels if planarconfig == "separate" else np.moveaxis(channels, 0, -1)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack", planarconfig=planarconfig)
    with pytest.raises(InputError, match=f"a.tif: {num_channels} channels, expected one"):
        list_images(tmp_path / "a.tif")
    np.testing.assert_array_equal(read(tmp_path / "a.tif", Pick(channel="1")).pixels, channels[1])


def write_mmstack(path: Path, plane: np.ndarray, position: int) -> None:
    """One of two files of Micro-Manager, each of one position."""
    summary = json.dumps({"MicroManagerVersion": "2", "Prefix": "a", "Frames": 1, "Positions": 2}).encode().ljust(160)
    index = struct.pack("<7I", 3453623, 1, 0, 0, 0, position, 228)
    heads = (54773648, 200, 483765892, 0, 99384722, 0, 2355492, len(summary))
    height, width = plane.shape
    told = {256: width, 257: height, 258: 16, 259: 1, 262: 1, 273: 390, 277: 1, 278: height, 279: plane.nbytes}
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, number) for tag, number in told.items())
    tags = struct.pack("<H", len(told) + 1) + tags + struct.pack("<HHII", 51123, 2, len(summary), 40)
    content = b"II*\0" + struct.pack("<9I", 228, *heads) + summary + index + tags
    path.write_bytes(content.ljust(390, b"\0") + plane.tobytes())


def test_other_files_of_micro_manager_are_no_slices_of_this_one(tmp_path):
    for position, plane in enumerate(VOLUME[:2]):
        write_mmstack(tmp_path / f"a_MMStack_Pos{position}.tif", plane, position)
    for position, plane in enumerate(VOLUME[:2]):
        path = tmp_path / f"a_MMStack_Pos{position}.tif"
        assert tifffile.TiffFile(path).is_mmstack
        np.testing.assert_array_equal(read_volume(path), plane[None])
        assert [suffix for suffix, _ in list_images(path)] == [""]


def test_pages_of_two_types_are_no_slices(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in (VOLUME[0], VOLUME[1].astype(np.uint8)):
            writer.write(page, photometric="minisblack", metadata=None)
    with pytest.raises(InputError, match=r"a.tif: pages of different shapes or types \(.* uint16, .* uint8\)"):
        read_volume(tmp_path / "a.tif")


def test_pyramid_of_gray_pixels_is_read_in_blocks_at_full_resolution(tmp_path):
    pixels = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)
    options = {"photometric": "minisblack", "tile": (16, 16), "metadata": None}
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(pixels, subifds=1, **options)
        writer.write(pixels[::2, ::2], subfiletype=1, **options)
    with open_regions(tmp_path / "a.tif", num_axes=2, scratch=tmp_path) as regions:
        np.testing.assert_array_equal(regions.read((slice(3, 60), slice(5, 40))), pixels[3:60, 5:40])


@pytest.mark.parametrize("content", [lambda whole: whole[:-200], lambda whole: whole + b"more"])
def test_compressed_volume_that_cannot_be_unpacked_is_refused_in_blocks(tmp_path, content):
    path = tmp_path / "a.nii.gz"
    nib.save(nib.Nifti1Image(VOLUME.T, np.eye(4)), path)
    path.write_bytes(content(gzip.compress(gzip.decompress(path.read_bytes()))))
    with pytest.raises(InputError, match=r"a.nii.gz: cannot be read as a gray volume"):
        by_blocks(path, tmp_path, Pick())


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda image: image["datasets"][0]["coordinateTransformations"][0].pop("scale"), "'scale' is missing"),
        (lambda image: image["datasets"][0]["coordinateTransformations"][0]["scale"].pop(), "shapes"),
        (lambda image: image["datasets"][0].pop("path"), "'path' is missing"),
        (lambda image: image["datasets"].clear(), "no dataset in its multiscales"),
        (lambda image: image["axes"][0].pop("name"), "'name' is missing"),
        (lambda image: image.update(datasets=None), "NoneType"),
    ],
)
def test_damaged_metadata_of_an_ome_zarr_are_told_in_words(tmp_path, damage, told):
    path = write_levels(tmp_path, [0])
    root = zarr.open_group(path)
    multiscales = root.attrs["multiscales"]
    damage(multiscales[0])
    root.attrs["multiscales"] = multiscales
    with pytest.raises(InputError, match=rf"a\.zarr: its metadata of OME .* are not of the form .*{told}.*; export it"):
        read(path)


def test_an_axis_that_an_ome_zarr_names_twice(tmp_path):
    with pytest.raises(InputError, match="axes Y, Y, X, expected T, C, Z, Y and X"):
        read(write_levels(tmp_path, [0], axes="yyx"))
