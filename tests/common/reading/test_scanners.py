"""Slides of scanners' makers: what OpenSlide reads is what was written, at the level that is meant."""

import io
import struct
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from common.errors import InputError
from common.reading.pictures import read_pixels
from common.reading.scanners import ScannedSlide, is_scanned
from common.reading.slides import nearest_level, open_slide, pixel_size_um

openslide = pytest.importorskip("openslide")

SCALES = (1, 4, 16)
SCN = """<?xml version="1.0"?>
<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">
<collection name="a" sizeX="{full_x}" sizeY="{full_y}"><barcode></barcode><image name="a">
<creationDate>2026-01-01</creationDate><device model="SCN400" version="1"/>
<pixels sizeX="{width}" sizeY="{height}">{dimensions}</pixels>
<view sizeX="{size_x}" sizeY="{size_y}" offsetX="{offset}" offsetY="{offset}" spacingZ="0"/>
<scanSettings><objectiveSettings><objective>20</objective></objectiveSettings><illuminationSettings>
<numericalAperture>0.4</numericalAperture><illuminationSource>brightfield</illuminationSource>
</illuminationSettings></scanSettings></image></collection></scn>"""
NM = 500  # side of a pixel


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    y, x = np.mgrid[:512, :768]
    waves = [np.sin(y / 40), np.cos(x / 50), np.sin((x + y) / 90)]
    return np.rint(np.stack(waves, axis=-1) * 100 + 128).astype(np.uint8)


def shrunk(picture: np.ndarray, scales=SCALES) -> list[np.ndarray]:
    means = [
        picture.reshape(picture.shape[0] // scale, scale, picture.shape[1] // scale, scale, 3).mean(axis=(1, 3))
        for scale in scales
    ]
    return [np.rint(mean).astype(np.uint8) for mean in means]


def write_scn(path, picture):
    height, width = picture.shape[:2]
    levels = shrunk(picture)
    dimensions = "".join(
        f'<dimension sizeX="{level.shape[1]}" sizeY="{level.shape[0]}" r="{number}" ifd="{number}"/>'
        for number, level in enumerate(levels)
    )
    sides = {"size_x": width * NM, "size_y": height * NM, "full_x": width * NM * 2, "full_y": height * NM * 3}
    about = SCN.format(width=width, height=height, dimensions=dimensions, offset=100 * NM, **sides)
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for number, level in enumerate(levels):
            scale = SCALES[number]
            writer.write(
                level,
                tile=(128, 128),
                compression="zlib",
                photometric="rgb",
                metadata=None,
                description=about if number == 0 else None,
                resolution=(1e7 / NM / scale,) * 2,
                resolutionunit="CENTIMETER",
            )


def write_ndpi(path, picture):
    with tifffile.TiffWriter(path) as writer:
        for scale, level in zip(SCALES, shrunk(picture), strict=True):
            tags = [(65420, 4, 1, 1, True), (65421, 11, 1, 20.0 / scale, True)]
            tags += [(number, 9, 1, 0, True) for number in (65422, 65423, 65424)]
            writer.write(
                level,
                compression="jpeg",
                compressionargs={"level": 98},
                photometric="rgb",
                rowsperstrip=level.shape[0],
                metadata=None,
                resolution=(1e7 / NM / scale,) * 2,
                resolutionunit="CENTIMETER",
                extratags=tags,
            )


def write_mrxs(path, picture):
    """Tiles as JPEG in one file, where they lie in it in another, and what they are in a third."""
    side, data, tables = 16, b"", b""  # smaller than any scanner's, so that the smallest level has several
    folder, name = path.with_suffix(""), b"0123456789ABCDEF0123456789ABCDEF"
    folder.mkdir()
    down, across = picture.shape[0] // side, picture.shape[1] // side
    start = len(b"01.02" + name) + 8
    pointers, behind = [], start + 4 * len(SCALES) + 4
    for scale, level in zip(SCALES, shrunk(picture), strict=True):
        entries = b""
        for y, x in np.ndindex(level.shape[0] // side, level.shape[1] // side):
            stream = io.BytesIO()
            tile = np.ascontiguousarray(level[y * side : (y + 1) * side, x * side : (x + 1) * side])
            Image.fromarray(tile).save(stream, format="JPEG", quality=98, subsampling=0)
            entries += struct.pack("<iiii", (y * across + x) * scale, len(data), stream.tell(), 0)
            data += stream.getvalue()
        pointers.append(behind + len(tables))
        tables += struct.pack("<iiii", 0, behind + len(tables) + 8, len(entries) // 16, 0) + entries
    roots = struct.pack("<ii", start, start + 4 * len(SCALES))
    listed = b"".join(struct.pack("<i", pointer) for pointer in [*pointers, 0])
    (folder / "Index.dat").write_bytes(b"01.02" + name + roots + listed + tables)
    (folder / "Data0000.dat").write_bytes(data)
    general = {"SLIDE_VERSION": "01.02", "SLIDE_ID": name.decode(), "IMAGENUMBER_X": across, "IMAGENUMBER_Y": down}
    layers = {"HIER_COUNT": 1, "NONHIER_COUNT": 0, "INDEXFILE": "Index.dat", "HIER_0_NAME": "Slide zoom level"}
    layers |= {"HIER_0_COUNT": len(SCALES)}
    sections = {"GENERAL": general | {"OBJECTIVE_MAGNIFICATION": 20}, "HIERARCHICAL": layers}
    sections |= {"DATAFILE": {"FILE_COUNT": 1, "FILE_0": "Data0000.dat"}}
    for number, scale in enumerate(SCALES):
        layers[f"HIER_0_VAL_{number}_SECTION"] = f"LAYER_{number}"
        about = {"OVERLAP_X": 0, "OVERLAP_Y": 0, "IMAGE_FORMAT": "JPEG", "IMAGE_FILL_COLOR_BGR": 16777215}
        about |= {f"MICROMETER_PER_PIXEL_{axis}": NM / 1000 * scale for axis in "XY"}
        about |= {"DIGITIZER_WIDTH": side, "DIGITIZER_HEIGHT": side, "IMAGE_CONCAT_FACTOR": 2 if number else 0}
        sections[f"LAYER_{number}"] = about
    text = "".join(f"[{title}]\n" + "".join(f"{k} = {v}\n" for k, v in of.items()) for title, of in sections.items())
    (folder / "Slidedat.ini").write_text(text, encoding="utf-8-sig")
    Image.fromarray(picture[:9, :9]).save(path, format="JPEG")


# OpenSlide halves what NDPI holds until nothing is left
WRITERS = {
    "a.scn": (write_scn, 0, (1, 3, 2, 7)),
    "a.ndpi": (write_ndpi, 16, (1, 3, 1, 7)),
    "a.mrxs": (write_mrxs, 16, (1, 3, 2, 7)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_window_is_the_crop_at_every_level(tmp_path, picture, name):
    write, tolerance, rests = WRITERS[name]
    write(tmp_path / name, picture)
    assert is_scanned(tmp_path / name)
    with open_slide(tmp_path / name) as slide:
        assert isinstance(slide, ScannedSlide) and slide.shape == picture.shape and slide.dtype == np.uint8
        assert pixel_size_um(slide) == 0.5
        for factor, rest in zip((16, 48, 8, 7), rests, strict=True):
            level, left = nearest_level(slide, factor)
            assert left == rest
            expected = shrunk(picture, [factor // rest])[0].astype(int)
            with slide.at_level(level) as smaller:
                assert smaller.shape == expected.shape
                found = smaller.read(3, 5, 20, 30)
            assert np.abs(found - expected[3:23, 5:35]).max() <= tolerance


def test_name_does_not_matter(tmp_path, picture):
    write_scn(tmp_path / "image.tiff", picture)
    with open_slide(tmp_path / "image.tiff") as slide:
        np.testing.assert_array_equal(slide.read(0, 0, 50, 60), picture[:50, :60])


def test_magnification_stands_for_a_size_that_is_not_told(tmp_path, picture, monkeypatch):
    write_scn(tmp_path / "a.scn", picture)
    with open_slide(tmp_path / "a.scn") as slide:
        for axis in "xy":
            del slide._properties[f"openslide.mpp-{axis}"]
        assert pixel_size_um(slide) == 0.5


def test_where_nothing_was_scanned_the_slide_is_white(tmp_path, picture, monkeypatch):
    write_scn(tmp_path / "a.scn", picture)
    with open_slide(tmp_path / "a.scn") as slide:
        clear = np.zeros((4, 5, 4), np.uint8)
        monkeypatch.setattr(slide._slide, "read_region", lambda *given: clear)
        assert (slide.read(0, 0, 4, 5) == 255).all()


@pytest.mark.parametrize("window", [(-1, 0, 5, 5), (0, 0, 0, 5), (510, 0, 5, 5), (0, 766, 5, 5)])
def test_window_outside_the_image_is_refused(tmp_path, picture, window):
    write_scn(tmp_path / "a.scn", picture)
    with open_slide(tmp_path / "a.scn") as slide, pytest.raises(ValueError, match=r"a.scn: no window of"):
        slide.read(*window)


def test_mirax_without_its_folder_is_refused(tmp_path):
    (tmp_path / "a.mrxs").write_bytes(b"\xff\xd8\xff\xe0 thumbnail")
    with pytest.raises(InputError, match=r"a.mrxs: OpenSlide does not know it; .*MRXS together with the folder"):
        open_slide(tmp_path / "a.mrxs")


def test_missing_library_is_named(tmp_path, picture, monkeypatch):
    write_scn(tmp_path / "a.scn", picture)
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(InputError, match=r"a.scn: .*pip install openslide-python openslide-bin"):
        open_slide(tmp_path / "a.scn")


def test_truncated_slide_is_told(tmp_path, picture):
    write_scn(tmp_path / "a.scn", picture)
    content = (tmp_path / "a.scn").read_bytes()
    (tmp_path / "a.scn").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"a.scn: "), open_slide(tmp_path / "a.scn") as slide:
        slide.read(0, 0, *slide.shape[:2])


def test_pyramid_of_a_tiff_is_read_at_the_level_that_is_meant(tmp_path, picture):
    levels = shrunk(picture)
    with tifffile.TiffWriter(tmp_path / "a.ome.tiff") as writer:
        writer.write(levels[0], photometric="rgb", tile=(128, 128), subifds=2)
        for level in levels[1:]:
            writer.write(level, photometric="rgb", tile=(128, 128), subfiletype=1)
    with open_slide(tmp_path / "a.ome.tiff") as slide:
        assert slide.level_shapes == tuple(level.shape[:2] for level in levels)
        level, rest = nearest_level(slide, 8)
        assert (level, rest) == (1, 2)
        with slide.at_level(level) as smaller:
            np.testing.assert_array_equal(smaller.read(0, 0, *smaller.shape[:2]), levels[1])


def test_what_lies_outside_of_the_bounds_is_no_part_of_a_slide(tmp_path, picture, monkeypatch):
    """That a file tells, as MIRAX does."""
    write_mrxs(tmp_path / "a.mrxs", picture)
    top, left, height, width = 5, 9, 40, 30
    told = {"openslide.bounds-x": left, "openslide.bounds-y": top}
    told |= {"openslide.bounds-width": width, "openslide.bounds-height": height}
    own = openslide.OpenSlide.properties.fget
    bounds = {name: str(value) for name, value in told.items()}
    monkeypatch.setattr(openslide.OpenSlide, "properties", property(lambda slide: dict(own(slide)) | bounds))
    with open_slide(tmp_path / "a.mrxs") as slide:
        assert slide.shape == (height, width, 3)
        crop = picture[top : top + height, left : left + width].astype(int)
        assert np.abs(slide.read(0, 0, height, width).astype(int) - crop).max() <= WRITERS["a.mrxs"][1]


def test_slide_whose_ycbcr_is_called_rgb_has_its_colours(tmp_path, picture):
    """As Aperio's scanners write JPEG 2000 of the older kind."""
    stored = np.asarray(Image.fromarray(picture).convert("YCbCr"))
    about = {"description": "Aperio Image Library v1\r\n512x768|MPP = 0.5|AppMag = 20", "metadata": None}
    packed = {"compression": 33003, "compressionargs": {"mct": False, "codecformat": "j2k", "level": 0}}
    tifffile.imwrite(tmp_path / "a.svs", stored, photometric="rgb", tile=(128, 128), **packed, **about)
    with open_slide(tmp_path / "a.svs") as slide:
        assert pixel_size_um(slide) == 0.5
        np.testing.assert_allclose(slide.read(100, 200, 50, 60), picture[100:150, 200:260].astype(float), atol=3)
    with pytest.raises(InputError, match="a.svs: YCBCR pixels, expected gray or RGB"):
        read_pixels(tmp_path / "a.svs")
