"""Labels in the formats of other programs: what their own readers read is what was written."""

import json
import re
import shutil
import zipfile

import numpy as np
import pytest
import roifile
import shapely
import tifffile
from crypt_unet.crypts import Crypt
from crypt_unet.tables import measure_crypts
from devonet_ndn.nuclei import COLUMNS as NUCLEUS_COLUMNS
from devonet_ndn.nuclei import measure_nuclei
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from maskrcnn_2p5d.objects import COLUMNS as OBJECT_COLUMNS
from maskrcnn_2p5d.objects import measure_objects
from PIL import Image
from pycocotools.coco import COCO
from sam_myelin.morphometrics import measure_fibres
from skimage.draw import polygon2mask
from swinunet_livecell.tables import COLUMNS as CELL_COLUMNS
from swinunet_livecell.tables import measure_cells

from common.errors import InputError
from common.reading.tiff import read_spacing
from tests.tables import read_records
from tools.formats.object_table import measure
from tools.formats.outlines import find_parts
from tools.formats.saving import FORMATS, About, as_objects, parse_formats, saved_path, write
from tools.formats.sequences import SequenceWriter, group_frames, write_sequence
from tools.segment.saving import read_objects

ABOUT = About("cells.png", (None, 0.5, 0.25), "cell")
VOLUME = About("cells.nii.gz", (2.0, 0.5, 0.25), "nucleus")
small = npst.arrays(np.int32, (7, 8), elements=st.sampled_from([0, 0, 1, 2, 7]))


@pytest.fixture
def labels():
    """A square, a ring, two parts that touch in a corner, and a number above 255."""
    labels = np.zeros((40, 50), np.int32)
    labels[2:8, 3:9] = 1
    labels[10:30, 10:30] = 300
    labels[15:20, 15:20] = 0
    labels[30:33, 40:43] = labels[33:36, 43:46] = 4
    return labels


@settings(max_examples=150)
@given(small)
def test_outlines_enclose_exactly_the_pixels(labels):
    found = np.zeros_like(labels)
    for label, parts in find_parts(labels):
        shape = shapely.MultiPolygon([(part[0], part[1:]) for part in parts])
        assert all(polygon.is_valid for polygon in shape.geoms)
        assert sum(polygon.area for polygon in shape.geoms) == np.count_nonzero(labels == label)
        y, x = np.indices(labels.shape) + 0.5
        found[np.any([shapely.contains_xy(polygon, x, y) for polygon in shape.geoms], axis=0)] = label
    np.testing.assert_array_equal(found, labels)


def test_geojson_is_read_by_shapely(labels, tmp_path):
    path = write(labels, tmp_path, "a", "geojson", ABOUT)
    features = json.loads(path.read_text())["features"]
    assert [feature["properties"]["name"] for feature in features] == ["cell 1", "cell 4", "cell 300"]
    for feature, label in zip(features, (1, 4, 300), strict=True):
        shape = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert shape.is_valid and shape.area == np.count_nonzero(labels == label)
        assert feature["properties"]["classification"]["name"] == "Cell"
        assert feature["properties"]["objectType"] == "detection"
        assert feature["properties"]["measurements"] == {"Area µm^2": shape.area * 0.125}


@settings(max_examples=30)
@given(small)
def test_coco_is_read_by_pycocotools(tmp_path_factory, labels):
    path = write(labels, tmp_path_factory.mktemp("coco"), "a", "coco", ABOUT)
    coco = COCO(path)
    found = np.zeros_like(labels)
    for annotation in coco.loadAnns(coco.getAnnIds()):
        mask = coco.annToMask(annotation).astype(bool)
        assert annotation["area"] == mask.sum()
        x, y, width, height = annotation["bbox"]
        assert mask[y : y + height, x : x + width].sum() == mask.sum()
        found[mask] = annotation["id"]
    np.testing.assert_array_equal(found, labels)
    assert coco.loadImgs(1)[0]["file_name"] == "cells.png"


def test_rois_are_read_by_roifile(labels, tmp_path):
    rois = roifile.roiread(write(labels, tmp_path, "a", "imagej-roi", ABOUT))
    found = np.zeros_like(labels)
    for roi in rois:
        rings = roi.coordinates(multi=True)
        inside = sum(polygon2mask(labels.shape, ring[:, ::-1] - 0.5).astype(int) for ring in rings) % 2
        found[inside.astype(bool)] = int(roi.name.split("-")[1])
    np.testing.assert_array_equal(found, labels)


def test_rois_of_a_volume_have_their_slices(labels, tmp_path):
    path = write(np.stack([labels, labels * 0, labels]), tmp_path, "a", "imagej-roi", VOLUME)
    rois = roifile.roiread(path)
    assert sorted({roi.position for roi in rois}) == [1, 3] and len(rois) == 6
    assert len(zipfile.ZipFile(path).namelist()) == 6


@pytest.mark.parametrize(("depth", "about"), [(1, ABOUT), (3, VOLUME)])
def test_ome_tiff_tells_the_size_of_its_pixels(labels, tmp_path, depth, about):
    volume = np.stack([labels] * depth) if depth > 1 else labels
    path = write(volume, tmp_path, "a", "ome-tiff", about)
    pixels = tifffile.imread(path)
    np.testing.assert_array_equal(pixels, volume)
    assert pixels.dtype == np.uint16
    assert read_spacing(path) == (about.spacing if depth > 1 else None)
    with tifffile.TiffFile(path) as file:
        assert 'PhysicalSizeX="0.25"' in file.ome_metadata


@pytest.mark.parametrize(("depth", "about"), [(1, ABOUT), (3, VOLUME)])
def test_ome_zarr_is_read_by_ome_zarr(labels, tmp_path, depth, about):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Label, Reader

    volume = np.stack([labels] * depth) if depth > 1 else labels
    path = write(volume, tmp_path, "a", "ome-zarr", about)
    write(volume, tmp_path, "a", "ome-zarr", about)
    (node, *_) = Reader(parse_url(path))()
    np.testing.assert_array_equal(np.asarray(node.data[0]), volume)
    assert any(isinstance(spec, Label) for spec in node.specs)
    scale = node.metadata["coordinateTransformations"][0][0]["scale"]
    assert scale == [2.0, 0.5, 0.25][-volume.ndim :]
    assert [axis["unit"] for axis in node.metadata["axes"]] == ["micrometer"] * volume.ndim
    assert [one.name for one in tmp_path.iterdir()] == ["a_labels.ome.zarr"]


def test_large_labels_have_lower_resolutions(tmp_path):
    import zarr

    labels = np.zeros((10, 5000), np.uint16)
    labels[:, ::2] = 7
    group = zarr.open_group(write(labels, tmp_path, "a", "ome-zarr", ABOUT), mode="r")
    assert [array.shape for _, array in sorted(group.arrays())] == [(10, 5000), (5, 2500), (3, 1250)]


def test_table_is_in_micrometres(tmp_path):
    labels = np.zeros((4, 6), np.uint8)
    labels[1:3, 2:6] = 5
    rows = read_records(write(labels, tmp_path, "a", "csv", ABOUT))
    assert [{key: float(value) for key, value in row.items()} for row in rows] == [
        {"id": 5, "y_um": 0.75, "x_um": 0.875, "area_um2": 1.0, "diameter_um": pytest.approx(1.12838)}
    ]
    rows = read_records(write(labels, tmp_path, "b", "csv", About("b.png")))
    assert rows[0]["area_px2"] == "8" and rows[0]["x_px"] == "3.5"


def test_volume_in_the_table(tmp_path):
    labels = np.zeros((4, 6, 8), np.uint8)
    labels[1:3, 2:6, :4] = 5
    (row,) = read_records(write(labels, tmp_path, "a", "csv", VOLUME))
    assert [float(row[name]) for name in ("z_um", "y_um", "x_um", "volume_um3")] == [3.0, 1.75, 0.375, 8.0]


def test_place_is_that_of_the_bundles_own_tables():
    """Of one object, by every module that writes a table of objects."""
    labels = np.zeros((6, 8, 10), np.int32)
    labels[1:4, 2:6, 3:5] = 1
    spacing, ones = (2.0, 0.5, 0.25), np.ones((1,))
    columns, (row,) = measure(labels, About("a.nii.gz", spacing))
    expected = {name: value for name, value in zip(columns, row, strict=True) if name[1:] == "_um"}
    assert expected == {"z_um": 4.0, "y_um": 1.75, "x_um": 0.875}
    nuclei = dict(zip(NUCLEUS_COLUMNS, *measure_nuclei(labels, labels, spacing), strict=True))
    objects = dict(zip(OBJECT_COLUMNS, *measure_objects(labels, spacing, ones), strict=True))
    for table in (nuclei, objects):
        assert {name: table[name] for name in expected} == pytest.approx(expected)
    columns, (row,) = measure(labels[2], About("a.png"))
    y, x = (dict(zip(columns, row, strict=True))[name] for name in ("y_px", "x_px"))
    cells = dict(zip(CELL_COLUMNS, *measure_cells(labels[2], labels[2], ones), strict=True))
    names, (crypt,) = measure_crypts([Crypt(2, 3, np.ones((4, 2), bool))])
    assert [(one["y"], one["x"]) for one in (cells, dict(zip(names, crypt, strict=True)))] == [(y, x)] * 2
    names, (measured,) = measure_fibres(labels[2], labels[2] > 0)
    fibre = dict(zip(names, measured, strict=True))
    assert (fibre["y_px"], fibre["x_px"]) == (y, x)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("dtype", [np.uint8, bool])
@pytest.mark.parametrize("draw", [np.zeros, np.ones])
def test_no_object_at_all_or_a_single_one_as_a_mask(tmp_path, name, dtype, draw):
    assert write(draw((5, 6), dtype), tmp_path, "a", name, ABOUT).exists()


@pytest.mark.parametrize("name", FORMATS)
def test_folder_that_is_none_is_told(labels, tmp_path, name):
    (tmp_path / "no").write_text("a file, no folder")
    with pytest.raises(InputError, match=re.escape(str(tmp_path / "no"))):
        write(labels, tmp_path / "no", "a", name, ABOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["no"]


@pytest.mark.parametrize(
    ("text", "num_axes", "message"),
    [
        (
            "tiff",
            2,
            "--save tiff: no such format; choose among ome-tiff, imagej-roi, geojson, coco, ome-zarr, csv, ctc",
        ),
        ("csv,geojson", 3, "--save geojson: holds no volumes; choose among ome-tiff, imagej-roi, ome-zarr, csv, ctc"),
    ],
)
def test_format_that_is_none_is_refused(text, num_axes, message):
    with pytest.raises(InputError, match=message):
        parse_formats(text, num_axes=num_axes)


def test_formats_are_a_list():
    assert parse_formats("CSV, ome-tiff,csv") == ("csv", "ome-tiff") and parse_formats("") == ()


def test_parts_of_a_mask_are_objects(caplog):
    mask = np.array([[255, 0, 255], [255, 0, 0]])
    with caplog.at_level("INFO"):
        np.testing.assert_array_equal(as_objects(mask, "a.png"), [[1, 0, 2], [1, 0, 0]])
    assert "a.png: a mask, whose 2 connected parts are taken for objects" in caplog.text
    np.testing.assert_array_equal(as_objects(np.array([[1, 0, 2]])), [[1, 0, 2]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a_instances.png", [[7, 0, 7]]), ("a_mask_fibres.png", [[7, 0, 7]]), ("a_mask.png", [[1, 0, 2]])],
)
def test_parts_of_a_single_instance_are_one_object(tmp_path, name, expected):
    Image.fromarray(np.array([[7, 0, 7]], np.uint8)).save(tmp_path / name)
    np.testing.assert_array_equal(read_objects(tmp_path / name)[0], expected)


def test_every_ending_is_one_of_results(tmp_path):
    from common.names import own_results

    paths = [saved_path(tmp_path, "a", name) for name in ("ome-tiff", "ome-zarr")]
    assert own_results([tmp_path / "a.tif", *paths]) == {*paths}


def evaluate(folder, frames):
    """Scores of a sequence against itself, by py-ctcmetrics."""
    from ctc_metrics import evaluate_sequence

    write_sequence(folder / "01_RES", {frame: lambda one=one: one for frame, one in frames.items()})
    truth = folder / "01_GT"
    (truth / "SEG").mkdir(parents=True)
    (truth / "TRA").mkdir()
    for frame in frames:
        labels = tifffile.imread(folder / "01_RES" / f"mask{frame:03d}.tif").reshape(40, 40)
        tifffile.imwrite(truth / "SEG" / f"man_seg{frame:03d}.tif", labels)
        tifffile.imwrite(truth / "TRA" / f"man_track{frame:03d}.tif", labels)
    shutil.copy(folder / "01_RES" / "res_track.txt", truth / "TRA" / "man_track.txt")
    scores = evaluate_sequence(str(folder / "01_RES"), str(truth), metrics=["Valid", "SEG", "DET", "TRA"])
    return {name: scores[name] for name in ("Valid", "SEG", "DET", "TRA")}


@pytest.mark.parametrize(
    ("present", "tracks"),
    [
        ([[1, 2], [1, 2], [1, 2]], "1 0 2 0\n2 0 2 0\n"),
        ([[1, 2], [1], [1, 2]], "1 0 2 0\n2 0 0 0\n3 2 2 0\n"),
        ([[1], [7], [1], [1, 2, 8]], "1 0 0 0\n2 3 3 0\n7 1 1 0\n8 2 3 0\n9 3 3 0\n"),
    ],
)
def test_sequence_is_valid_for_py_ctcmetrics_whatever_numbers_come_again(tmp_path, present, tracks):
    frames = {}
    for frame, numbers in enumerate(present):
        frames[frame] = np.zeros((1, 40, 40), np.int32)
        for row, number in enumerate(numbers):
            frames[frame][0, 10 * row : 10 * row + 6, 5 + frame : 15 + frame] = number
    assert evaluate(tmp_path, frames) == pytest.approx({"Valid": 1, "SEG": 1, "DET": 1, "TRA": 1})
    assert (tmp_path / "01_RES" / "res_track.txt").read_text() == tracks


def test_frames_are_written_in_their_order(tmp_path):
    writer = SequenceWriter(tmp_path)
    writer.write("mask001.tif", 1, np.eye(4, dtype=np.uint16))
    with pytest.raises(ValueError, match="mask000.tif: frame 0 after 1; write frames in their order"):
        writer.write("mask000.tif", 0, np.eye(4, dtype=np.uint16))


def test_frames_are_told_by_their_numbers():
    assert group_frames(["b_t001", "a_t10", "a_t9"]) == {"01": {9: "a_t9", 10: "a_t10"}, "02": {1: "b_t001"}}
    with pytest.raises(InputError, match="cells: ends in no number; --save ctc takes frames"):
        group_frames(["cells"])
    with pytest.raises(InputError, match="a01: the same frame as a1|a1: the same frame as a01"):
        group_frames(["a1", "a01"])
