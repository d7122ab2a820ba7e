"""Files of microscopes: what was written into them is what is read, or it is refused in words."""

import io
import json
import pickle
import re
import shutil
import zipfile
from pathlib import Path

import imagecodecs
import numpy as np
import pylibCZIrw.czi
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from common.errors import InputError
from common.names import stem
from common.reading import pictures
from common.reading.tiff import read_volume
from tests.tools.formats.raw_files import (
    CHANNELS,
    WRITERS,
    _compound,
    drawn,
    write_czi,
    write_mosaic,
    write_ome_tiff,
    write_zarr,
)
from tools.formats import czi, microscopes, ome_zarr_file
from tools.formats.microscopes import list_images, maker_of, read
from tools.formats.scenes import Pick

SPACED = [name for name in WRITERS if name not in ("a.oif", "a.oib")]  # of several scenes


def write(folder, name, pixels, **options):
    path = folder / name
    WRITERS[name](path, pixels, **options)
    return path


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_read_is_what_was_written(tmp_path_factory, name, data):
    sizes = {axis: data.draw(st.integers(1, 3), axis) for axis in ("scenes", "times", "channels", "depth")}
    sizes["scenes"] = sizes["scenes"] if name in SPACED else 1
    pixels = drawn(**sizes, seed=data.draw(st.integers(0, 99)))
    path = write(tmp_path_factory.mktemp("raw"), name, pixels)
    at = [data.draw(st.integers(0, sizes[axis] - 1)) for axis in ("scenes", "times", "channels")]
    image = read(path, Pick(*(str(at[index]) for index in (0, 2, 1))))
    expected = pixels[tuple(at)]
    np.testing.assert_array_equal(image.pixels, expected if len(expected) > 1 else expected[0])
    assert image.axes == ("ZYX" if len(expected) > 1 else "YX")
    assert image.spacing[1:] == pytest.approx((0.5, 0.5))
    assert len(expected) == 1 or image.spacing[0] == pytest.approx(2.0)
    assert image.channels == (CHANNELS[at[2]],)


@pytest.mark.parametrize("name", WRITERS)
def test_size_that_nobody_told_is_unknown(tmp_path, name):
    image = read(write(tmp_path, name, drawn(depth=2), spacing=None))
    assert image.spacing == (None, None, None) or (name == "a.nd2" and image.spacing[1:] == (None, None))


@pytest.mark.parametrize("compression", ["zstd0:ExplicitLevel=1", "zstd1:ExplicitLevel=1"])
def test_packed_czi(tmp_path, compression):
    pixels = drawn(depth=2)
    write_czi(tmp_path / "a.czi", pixels, compression=compression)
    np.testing.assert_array_equal(read(tmp_path / "a.czi").pixels, pixels[0, 0, 0])


@pytest.mark.parametrize("name", WRITERS)
def test_several_channels_are_listed_and_one_is_taken_by_name(tmp_path, name):
    pixels = drawn(channels=3)
    path = write(tmp_path, name, pixels)
    with pytest.raises(
        InputError, match=re.escape("3 channels, expected one: 0 DAPI, 1 GFP, 2 Cy5; give its --channel")
    ):
        read(path)
    for wanted in ("GFP", "gfp", "1"):
        np.testing.assert_array_equal(read(path, Pick(channel=wanted)).pixels, pixels[0, 0, 1, 0])
    with pytest.raises(InputError, match=re.escape("no channel 'RFP'; there are 0 DAPI, 1 GFP, 2 Cy5")):
        read(path, Pick(channel="RFP"))


def test_channels_without_names_may_be_meant_as_slices(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", drawn(depth=4)[0, 0, 0], imagej=True)  # which calls them so by itself
    with pytest.raises(InputError, match="4 channels.*give its --channel, or if these are slices, save it with Z"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("name", SPACED)
def test_each_position_and_each_frame_is_an_image(tmp_path, name):
    pixels = drawn(scenes=2, times=2)
    path = write(tmp_path, name, pixels)
    images = list_images(path)
    assert len({suffix for suffix, _ in images}) == 4 and all(
        suffix.endswith(("_t000", "_t001")) for suffix, _ in images
    )
    for (_, pick), expected in zip(images, pixels.reshape(-1, *pixels.shape[-2:]), strict=True):
        np.testing.assert_array_equal(read(path, pick).pixels, expected)
    with pytest.raises(InputError, match=r"no scene '7'; there are 0"):
        list_images(path, Pick(scene="7"))
    with pytest.raises(InputError, match=r"no time '2'; there are 0, 1"):
        list_images(path, Pick(time="2"))


def test_numbers_that_are_names_of_others_are_not_mixed_up(tmp_path):
    pixels = drawn(scenes=3, channels=2)[:, 0, :, 0]
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        for name, scene in zip("123", pixels, strict=True):
            about = {"axes": "CYX", "Name": name, "Channel": {"Name": ["1", "0"]}}
            writer.write(scene, photometric="minisblack", metadata=about)
    for channel, name in enumerate("10"):
        images = list_images(tmp_path / "a.ome.tif", Pick(channel=name))
        assert [suffix for suffix, _ in images] == ["_1", "_2", "_3"]
        for (_, pick), scene in zip(images, pixels, strict=True):
            np.testing.assert_array_equal(read(tmp_path / "a.ome.tif", pick).pixels, scene[channel])
            assert int(pick.channel) == channel


def test_plate_of_ome_zarr_has_its_fields_which_are_looked_for_once(tmp_path, monkeypatch):
    import ome_zarr.writer
    import zarr

    root = zarr.open_group(tmp_path / "plate.zarr", mode="w")
    ome_zarr.writer.write_plate_metadata(root, ["A"], ["1", "2"], ["A/1", "A/2"])
    for number, well in enumerate(("A/1", "A/2")):
        group = root.require_group(well)
        ome_zarr.writer.write_well_metadata(group, ["0"])
        write_zarr(tmp_path / "plate.zarr" / well / "0", drawn(seed=number))
    assert [suffix for suffix, _ in list_images(tmp_path / "plate.zarr")] == ["_A_1_0", "_A_2_0"]
    monkeypatch.setattr(ome_zarr_file, "_scenes", None)
    np.testing.assert_array_equal(read(tmp_path / "plate.zarr", Pick(scene="A/2/0")).pixels, drawn(seed=1)[0, 0, 0, 0])


def zipped(folder, name="a.zarr"):
    return Path(shutil.make_archive(str(folder / "a.zarr"), "zip", folder, name))


@pytest.mark.parametrize("is_inside", [False, True])
def test_ome_zarr_in_a_zip_file_is_read_where_it_is(tmp_path, is_inside):
    write_zarr(tmp_path / "a.zarr", drawn(scenes=2, channels=2))
    folder, name = (tmp_path, "a.zarr") if is_inside else (tmp_path / "a.zarr", ".")
    path = Path(shutil.make_archive(str(tmp_path / "zips" / "a.zarr"), "zip", folder, name))
    image = read(path, Pick("1", "GFP"))
    np.testing.assert_array_equal(image.pixels, drawn(scenes=2, channels=2)[1, 0, 1, 0])
    assert image.spacing[1:] == (0.5, 0.5) and maker_of(path) == "zarr" and stem(path) == "a"


def test_zip_of_two_images_is_not_read_as_one_of_them(tmp_path):
    for name in "ab":
        write_zarr(tmp_path / "in" / f"{name}.zarr", drawn())
    path = Path(shutil.make_archive(str(tmp_path / "c.zarr"), "zip", tmp_path / "in"))
    with pytest.raises(InputError, match=r"c.zarr.zip: 2 images in one zip file \(a.zarr, b.zarr\), expected one"):
        read(path)


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("codec", ["pickle", "base64"])
@pytest.mark.parametrize("where", ["filters", "compressor"])
def test_codec_that_may_run_what_a_file_says_is_refused(tmp_path, where, codec):
    (tmp_path / "a.zarr" / "0").mkdir(parents=True)
    about = {"zarr_format": 2, "shape": [2, 2], "chunks": [2, 2], "dtype": "<u2", "order": "C", "fill_value": 0}
    about |= {"filters": None, "compressor": None}
    about[where] = [{"id": codec}] if where == "filters" else {"id": codec}
    multiscale = {"version": "0.4", "axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}
    (tmp_path / "a.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    (tmp_path / "a.zarr" / ".zattrs").write_text(json.dumps({"multiscales": [multiscale]}))
    (tmp_path / "a.zarr" / "0" / ".zarray").write_text(json.dumps(about))
    (tmp_path / "a.zarr" / "0" / "0.0").write_bytes(pickle.dumps(Touch(tmp_path / "touched")))
    with pytest.raises(InputError, match=f"a.zarr: packed by '{codec}', expected zstd|No Zarr data type .*pickle"):
        read(tmp_path / "a.zarr")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("place", [20, 24])  # of the size that it is packed to, and of the other one
def test_zip_that_claims_more_than_it_can_hold(tmp_path, place):
    write_zarr(tmp_path / "a.zarr", drawn())
    content = bytearray(zipped(tmp_path).read_bytes())
    start = content.index(b"PK\x01\x02")
    content[start + place : start + place + 4] = (2**31).to_bytes(4, "little")
    (tmp_path / "b.zarr.zip").write_bytes(content)
    with pytest.raises(InputError, match="b.zarr.zip: a zip file of .* bytes that says it holds .*21474"):
        read(tmp_path / "b.zarr.zip")


PLATE = {"plate": {"wells": [{"path": "A/1"}] * 10**5}}, {"well": {"images": [{"path": "0"}] * 10**5}}
IMAGE = {"multiscales": [{"datasets": [{"path": "0"}] * 10**5}]}


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ({"": {}} | {str(number): {} for number in range(2000)}, "too many images or resolutions"),
        ({"": PLATE[0], "A/1": PLATE[1], "A/1/0": IMAGE}, "too many images or resolutions"),
        (
            {letter * 60_000: {} for letter in "abc"},
            r"its list of files is \d+ bytes of \d+; save it in larger chunks, or shards",
        ),
        ({"": {}, "x/" * 30_000: {}}, "a Zarr folder without an OME image"),  # each of whose parents would take time
    ],
    ids=["groups", "plate", "listing", "deep"],
)
def test_zip_that_would_be_looked_through_for_minutes(tmp_path, monkeypatch, groups, told):
    monkeypatch.setattr(ome_zarr_file, "MAX_METADATA_BYTES", 10 << 20)
    monkeypatch.setattr(ome_zarr_file, "MAX_LISTING_BYTES", 2**17)
    with zipfile.ZipFile(tmp_path / "a.zarr.zip", "w") as archive:
        for name, about in groups.items():
            content = json.dumps({"zarr_format": 3, "node_type": "group", "attributes": about})
            archive.writestr(f"{name}/zarr.json".lstrip("/"), content, zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match=told):
        read(tmp_path / "a.zarr.zip")


def test_sectors_of_an_oib_that_lead_in_a_circle_are_refused(tmp_path):
    path = write(tmp_path, "a.oib", drawn(depth=2))
    content = bytearray(path.read_bytes())
    table = 512 * (1 + int.from_bytes(content[76:80], "little"))
    content[table + 4 : table + 8] = bytes(4)  # after the second sector the first one
    path.write_bytes(content)
    with pytest.raises(InputError, match="a.oib: its sectors lead back to an earlier one"):
        read(path)


def test_compound_file_of_another_maker_is_named(tmp_path):
    (tmp_path / "a.zvi").write_bytes(_compound({"Contents": bytes(5000)}))
    with pytest.raises(InputError, match="a.zvi: a compound file but no OIB, such as Zeiss' ZVI; save it as OME-TIFF"):
        read(tmp_path / "a.zvi")


def test_tiles_of_a_czi_are_put_together(tmp_path):
    tiles = drawn(scenes=3).reshape(3, 24, 40)
    with pylibCZIrw.czi.create_czi(str(tmp_path / "a.czi")) as document:
        for number, tile in enumerate(tiles):
            document.write(tile, plane={"C": 0, "Z": 0, "T": 0}, location=(number * 40, 0))
        document.write_metadata("a")
    np.testing.assert_array_equal(read(tmp_path / "a.czi").pixels, np.concatenate(tiles, axis=1))


def test_format_is_told_by_content(tmp_path):
    write_czi(tmp_path / "a.czi", drawn())
    (tmp_path / "a.czi").rename(tmp_path / "a.tif")
    assert maker_of(tmp_path / "a.tif") == "czi"


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in ("a.zarr", "a.ome.tif", "a.oif")])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.95])
def test_file_that_was_cut_off_is_refused(tmp_path, name, part):
    path = write(tmp_path, name, drawn(channels=2, depth=3))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(InputError, match=path.name):
        read(path, Pick(channel="1"))


def test_missing_package_is_named(tmp_path, monkeypatch):
    write_czi(tmp_path / "a.czi", drawn())
    monkeypatch.setitem(__import__("sys").modules, "tools.formats.czi", None)
    with pytest.raises(InputError, match=r"a.czi: reading Zeiss CZI needs a package: pip install czifile"):
        read(tmp_path / "a.czi")


@pytest.mark.parametrize("is_zipped", [False, True])
@pytest.mark.parametrize("change", ["separator", "chunks"])
def test_zarr_whose_chunks_are_not_where_it_says_is_not_taken_for_black(tmp_path, change, is_zipped):
    write_zarr(tmp_path / "a.zarr", drawn(depth=2))
    (about,) = (tmp_path / "a.zarr").glob("*/zarr.json")
    if change == "separator":
        about.write_text(about.read_text().replace('"separator": "/"', '"separator": "."'))
    else:
        shutil.rmtree(about.parent / "c")
    path = zipped(tmp_path) if is_zipped else tmp_path / "a.zarr"
    assert len(list_images(path)) == 1, "it may be one of many"
    with pytest.raises(InputError, match=r"a.zarr\S*: no chunk of its pixels is where its description says"):
        read(path)


@pytest.mark.parametrize("is_zipped", [False, True])
@pytest.mark.parametrize(("version", "shards", "fill"), [(2, None, 0), (3, None, 0), (3, (1, 1, 1, 12, 40), 9)])
def test_chunks_that_are_not_stored_are_told(tmp_path, caplog, version, shards, fill, is_zipped):
    pixels, path = drawn(times=2, channels=2)[0], tmp_path / "a.zarr"
    pixels[0, 1, 0, :12] = pixels[1] = fill  # which zarr leaves out
    root = zarr.open_group(path, mode="w", zarr_format=version)
    chunks = (1, 1, 1, 12, 20 if shards else 40)  # in one file each, or as many as a shard holds
    root.create_array("0", data=pixels, chunks=chunks, shards=shards, fill_value=fill)
    axes = [{"name": axis, "type": "space"} for axis in "tczyx"]
    about = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": []}]}]
    root.attrs.update({"ome": {"version": "0.5", "multiscales": about}} if version == 3 else {"multiscales": about})
    path = zipped(tmp_path) if is_zipped else path
    for time, channel in np.ndindex(2, 2):
        assert (read(path, Pick(channel=str(channel), time=str(time))).pixels == pixels[time, channel]).all()
    assert f"5 of 8 chunks (62%) are not stored and are read as {fill}" in caplog.text


def test_pyramids_of_several_series(tmp_path):
    """As Bio-Formats writes slides and regions of one size into one file."""
    pixels = drawn(scenes=2, channels=2, depth=2)[:, 0]
    about = {"axes": "CZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2.0}
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        for scene in pixels:
            for level in (1, 2):
                kind = {"subifds": 1, "metadata": about} if level == 1 else {"subfiletype": 1, "metadata": None}
                writer.write(scene[..., ::level, ::level], photometric="minisblack", tile=(16, 16), **kind)
    for scene, channel in np.ndindex(2, 2):
        found = read(tmp_path / "a.ome.tif", Pick(scene=str(scene), channel=str(channel)))
        assert (found.pixels == pixels[scene, channel]).all() and found.spacing == (2.0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("shape", "is_volume"),
    [((4, 24, 40), True), ((1, 4, 24, 40), True), ((4, 1, 24, 40), True), ((3, 4, 24, 40), False)],
)
def test_array_whose_axes_nobody_named_is_a_volume_only_where_one_is_long(tmp_path, shape, is_volume):
    """As `tifffile.imwrite` saves any array."""
    pixels, path = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape), tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="minisblack")
    for reader in (read_volume, lambda path: read(path).pixels):
        if is_volume:
            np.testing.assert_array_equal(reader(path), pixels.squeeze())
            continue
        with pytest.raises(InputError, match=r"a.tif: axes QQYX \(3, 4, 24, 40\), "):
            reader(path)


def test_array_by_itself_is_no_ome_zarr(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=np.zeros((3, 4)))
    with pytest.raises(InputError, match=r"a.zarr: a Zarr array by itself, expected an OME-Zarr"):
        read(tmp_path / "a.zarr")


@pytest.mark.parametrize("missing", ["zarr.json", "0/zarr.json", "s0/zarr.json"])
def test_zarr_without_its_parts_is_refused(tmp_path, missing):
    write_zarr(tmp_path / "a.zarr", drawn())
    found = [
        path
        for path in (tmp_path / "a.zarr").rglob("zarr.json")
        if str(path.relative_to(tmp_path / "a.zarr")) == missing
    ]
    for path in found or (tmp_path / "a.zarr").rglob("zarr.json"):
        path.unlink()
    with pytest.raises(InputError, match=r"a.zarr"):
        read(tmp_path / "a.zarr")


def test_only_the_wanted_planes_are_decoded(tmp_path, monkeypatch):
    write_ome_tiff(tmp_path / "a.ome.tif", drawn(times=3, channels=2, depth=2))
    tifffile.imwrite(
        tmp_path / "b.ome.tif", drawn(times=3, channels=2, depth=2)[0], ome=True, compression="zlib",
        photometric="minisblack", metadata={"axes": "TCZYX"},
    )  # fmt: skip
    decoded = []
    original = tifffile.TiffPage.asarray
    monkeypatch.setattr(
        tifffile.TiffPage, "asarray", lambda page, *a, **k: decoded.append(1) or original(page, *a, **k)
    )
    monkeypatch.setattr(
        tifffile.TiffFrame, "asarray", lambda page, *a, **k: decoded.append(1) or original(page, *a, **k)
    )
    for name in ("a.ome.tif", "b.ome.tif"):
        np.testing.assert_array_equal(
            read(tmp_path / name, Pick(channel="1", time="2")).pixels, drawn(times=3, channels=2, depth=2)[0, 2, 1]
        )
    assert len(decoded) == 2


def test_channels_of_an_oif_that_were_off_have_no_planes(tmp_path):
    path = write(tmp_path, "a.oif", drawn(channels=2))
    told = path.read_text(encoding="utf-16")
    for number in (2, 1):
        told = told.replace(f"[GUI Channel {number} Par", f"[GUI Channel {number + 1} Par")
    path.write_text(f"{told}[GUI Channel 1 Parameters]\nDyeName='off'\nCH Activate=0\n", encoding="utf-16")
    with pytest.raises(InputError, match="2 channels, expected one: 0 DAPI, 1 GFP"):
        read(path)


def test_folder_of_an_oif_that_is_gone(tmp_path):
    path = write(tmp_path, "a.oif", drawn())
    shutil.rmtree(tmp_path / "a.oif.files")
    with pytest.raises(InputError, match=r"a.oif: cannot be read as Olympus OIF \(OIF storage path not found"):
        read(path)


@pytest.mark.parametrize("is_coloured", [False, True])
def test_any_part_of_a_czi_is_read_from_the_tiles_under_it(tmp_path, monkeypatch, is_coloured):
    shape = (96, 160, 3) if is_coloured else (96, 160)
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    write_mosaic(tmp_path / "a.czi", pixels)
    decoded = []
    original = czi._Block.pixels
    monkeypatch.setattr(czi._Block, "pixels", lambda block: decoded.append(block) or original(block))
    with microscopes.open_scenes(tmp_path / "a.czi") as (scene,):
        stored = pixels[..., ::-1] if is_coloured else pixels
        np.testing.assert_array_equal(scene.load(0, 0)[0], stored)
        decoded.clear()
    with microscopes.open_scenes(tmp_path / "a.czi") as (scene,):
        parts = ((slice(20, 60), slice(30, 90)), (slice(95, 96), slice(0, 160)), (slice(0, 3), slice(5, 6)))
        for rows, columns in parts:
            part = scene.window(0, 0, (slice(0, 1), rows, columns))
            np.testing.assert_array_equal(part[0], stored[rows, columns])
        assert len(decoded) < 16, "a tile that is decoded is kept"


def test_frame_that_is_missing_is_not_taken_for_a_black_one(tmp_path):
    path = write(tmp_path, "a.nd2", drawn(times=3))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"ImageDataSeq|1!", b"ImageDataSeq|9!"))
    np.testing.assert_array_equal(read(path, Pick(time="2")).pixels, drawn(times=3)[0, 2, 0, 0])
    with pytest.raises(InputError, match="a.nd2: frame 1 is missing or cut off"):
        read(path, Pick(time="1"))


def test_jpeg_2000_is_no_nd2_unless_nikon_wrote_it(tmp_path):
    content = imagecodecs.jpeg2k_encode(drawn()[0, 0, 0, 0], reversible=True, level=0, codecformat="jp2")
    (tmp_path / "a.jp2").write_bytes(content)
    (tmp_path / "a.nd2").write_bytes(content + b"LABORATORY IMAGING ND BOX MAP 00" + bytes(8))
    assert maker_of(tmp_path / "a.jp2") is None and maker_of(tmp_path / "a.nd2") == "nd2"
    with pytest.raises(InputError, match="a.nd2"):  # its first image alone would be a wrong reading
        pictures.read_pixels(tmp_path / "a.nd2")


def put_packed(path, pixels, packed, compression):
    """A CZI of one plane, packed as the format allows and its library does not write."""
    write_czi(path, pixels)
    raw, content = pixels[0, 0, 0, 0].tobytes(), path.read_bytes()
    start = content.index(raw)
    segment = content.rindex(b"ZISRAWSUBBLOCK\0\0", 0, start)
    content = content[:start] + packed.ljust(len(raw), b"\0") + content[start + len(raw) :]
    content = content[: segment + 40] + len(packed).to_bytes(8, "little") + content[segment + 48 :]
    for found in re.finditer(rb"DV[\0\x01]\0\0\0", content):
        content = content[: found.end() + 12] + compression.to_bytes(4, "little") + content[found.end() + 16 :]
    path.write_bytes(content)


def test_lzw_in_a_czi_is_read_and_looked_at_before(tmp_path):
    path, pixels = tmp_path / "a.czi", np.repeat(drawn()[..., :1], 40, axis=-1)
    packed = imagecodecs.lzw_encode(pixels[0, 0, 0, 0].tobytes())
    put_packed(path, pixels, packed, 2)
    np.testing.assert_array_equal(read(path).pixels, pixels[0, 0, 0, 0])
    content = path.read_bytes()
    path.write_bytes(content.replace(packed, packed[:2] + b"\xff\xff" + packed[4:]))
    with pytest.raises(InputError, match="a.czi: .*LZW with a code that is not defined"):
        read(path)


def jpeg(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=80)
    return stream.getvalue()


@pytest.mark.parametrize(("encode", "compression"), [(jpeg, 1), (imagecodecs.jpegxr_encode, 4)])
def test_jpeg_in_a_czi_is_read_if_it_has_the_size_of_its_block(tmp_path, encode, compression):
    path, pixels = tmp_path / "a.czi", np.repeat(drawn()[..., :1] >> 4, 40, axis=-1).astype(np.uint8) // 100 * 100
    put_packed(path, pixels, encode(pixels[0, 0, 0, 0]), compression)
    np.testing.assert_allclose(read(path).pixels, pixels[0, 0, 0, 0], atol=30)
    path.unlink()
    put_packed(path, pixels, encode(np.zeros((24, 48), np.uint8)), compression)
    with pytest.raises(InputError, match="a.czi: .*a block of 24 x 40 pixels with 24 x 48 in it"):
        read(path)


@pytest.mark.parametrize("place", ["dataset", "whole"])
def test_ome_zarr_whose_pixels_are_placed_otherwise_than_by_a_scale_is_refused(tmp_path, place):
    write_zarr(tmp_path / "a.zarr", drawn())
    about = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())
    (multiscale,) = about["attributes"]["ome"]["multiscales"]
    where = multiscale if place == "whole" else multiscale["datasets"][0]
    where["coordinateTransformations"] = [{"type": "affine", "affine": [[2, 0], [0, 2]]}]
    (tmp_path / "a.zarr" / "zarr.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match="a.zarr: pixels placed by 'affine', expected scale and translation"):
        read(tmp_path / "a.zarr")
