"""Outlines that ImageJ and QuPath write are drawn as the objects that they were."""

import contextlib
import json
import logging
import zipfile

import numpy as np
import pytest
import roifile
from skimage.draw import disk

from common.errors import InputError
from tools.convert.drawn import read_outlines
from tools.formats.saving import About, write

SHAPE = (40, 50)
ABOUT = About("cells.png", (None, 0.5, 0.5), "cell")


@pytest.fixture
def labels():
    """A ring, two parts of one object, a disk at the border."""
    drawn = np.zeros(SHAPE, np.uint16)
    drawn[3:12, 4:15] = 1
    drawn[6:9, 7:11] = 0
    drawn[20:24, 2:6] = drawn[20:24, 9:12] = 2
    drawn[disk((33, 45), 8, shape=SHAPE)] = 3
    return drawn


@pytest.mark.parametrize("kind", ["imagej-roi", "geojson"])
def test_what_is_saved_is_read_again(labels, kind, tmp_path):
    path = write(labels, tmp_path, "a", kind, ABOUT)
    np.testing.assert_array_equal(read_outlines(path, SHAPE, "cell"), labels)


def test_objects_of_a_volume_go_on_through_its_slices(labels, tmp_path):
    volume = np.stack([labels, np.where(labels == 2, 2, 0), labels * 0])
    path = write(volume, tmp_path, "a", "imagej-roi", About("a.nii.gz", (2.0, 0.5, 0.5), "nucleus"))
    np.testing.assert_array_equal(read_outlines(path, volume.shape, "nucleus"), volume)


def save(path, *rois, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for number, roi in enumerate(rois):
            archive.writestr(f"{number}.roi", roi.tobytes())
    return path


def polygon(*points, name=""):
    return roifile.ImagejRoi.frompoints(np.array(points, np.float32), name=name)


def test_a_square_drawn_in_imagej_holds_the_pixels_inside_and_the_later_one_is_on_top(tmp_path):
    first = polygon((2, 3), (8, 3), (8, 7), (2, 7), name="cell-z1")
    second = polygon((6, 3), (10, 3), (10, 7), (6, 7), name="cell-z2")
    drawn = read_outlines(save(tmp_path / "RoiSet.zip", first, second), SHAPE, "cell")
    expected = np.zeros(SHAPE, int)
    expected[3:7, 2:8] = 1
    expected[3:7, 6:10] = 2
    np.testing.assert_array_equal(drawn, expected)


def test_a_single_oval_is_an_ellipse(tmp_path):
    roi = roifile.ImagejRoi()
    roi.roitype, roi.left, roi.top, roi.right, roi.bottom = roifile.ROI_TYPE.OVAL, 5, 5, 36, 24
    (tmp_path / "a.roi").write_bytes(roi.tobytes())
    y, x = np.indices(SHAPE) + 0.5
    inside = ((x - 20.5) / 15.5) ** 2 + ((y - 14.5) / 9.5) ** 2 < 1
    assert ((read_outlines(tmp_path / "a.roi", SHAPE, "cell") == 1) != inside).sum() <= 2


def line():
    roi = roifile.ImagejRoi()
    roi.roitype, roi.name, roi.x1, roi.y1, roi.x2, roi.y2 = roifile.ROI_TYPE.LINE, "scale bar", 1, 1, 9, 9
    return roi


@pytest.mark.parametrize(
    ("roi", "shape", "message"),
    [
        (line(), SHAPE, "scale bar: a line, expected an area"),
        (polygon((2, 3), (80, 3), (80, 7), name="far"), SHAPE, "far: x from 2 to 80 .* the image has 50 x 40 pixels"),
        (polygon((2, 3), (8, 3), (8, 7), name="0007-0009"), (3, *SHAPE), "0007-0009: an outline without its slice"),
        (polygon((2, 3), (8, 3), (8, 7), name="a-z4"), (3, *SHAPE), "a-z4: in slice 4, the image has 3"),
        (polygon((2, 3), (3, 3), (2.2, 3.2)), SHAPE, "no outline holds a pixel"),
    ],
)
def test_what_is_no_object_of_this_image_is_refused(roi, shape, message, tmp_path):
    path = save(tmp_path / "RoiSet.zip", roi)
    with pytest.raises(InputError, match=rf"RoiSet\.zip: .*{message}"):
        read_outlines(path, shape, "cell")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"Iout" + bytes(80)])
@pytest.mark.parametrize("ending", [".zip", ".roi", ".geojson"])
def test_damaged_files_are_named(content, ending, tmp_path):
    path = tmp_path / f"a{ending}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\{ending}"):
        read_outlines(path, SHAPE, "cell")


def test_another_zip_is_no_set_of_outlines(tmp_path):
    path = tmp_path / "a.ome.zarr.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("zarr.json", "{}")
    with pytest.raises(InputError, match=r"a\.ome\.zarr\.zip: "):
        read_outlines(path, SHAPE, "cell")


def test_no_annotation_is_an_image_without_objects(tmp_path):
    path = tmp_path / "a.geojson"
    path.write_text('{"type": "FeatureCollection", "features": []}')
    assert not read_outlines(path, SHAPE, "cell").any()


def square(left, *, size=4, classified=None, **properties):
    ring = [[left, 1], [left + size, 1], [left + size, 1 + size], [left, 1 + size], [left, 1]]
    named = {"classification": {"name": classified}} if classified else {}
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "geometry": geometry, "properties": {**named, **properties}}


@pytest.fixture
def of_qupath(tmp_path):
    """Function that writes features and reads them as cells of an image."""

    def read(*features):
        path = tmp_path / "a.geojson"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        return read_outlines(path, SHAPE, "cell")

    return read


def test_other_classes_of_qupath_are_left_out(of_qupath, caplog):
    with caplog.at_level(logging.WARNING):
        drawn = of_qupath(square(1, classified="Debris"), square(20, classified="Cell"))
    assert np.unique(drawn).tolist() == [0, 1] and drawn[2, 21] == 1
    assert "1 objects of the class Debris left out, which is not cell" in caplog.text


def test_the_annotation_in_which_qupath_detected_is_no_object(of_qupath, caplog):
    with caplog.at_level(logging.WARNING):
        drawn = of_qupath(
            square(0, size=30, objectType="annotation"),
            square(1, objectType="detection"),
            square(20, objectType="detection"),
        )
    assert np.unique(drawn, return_counts=True)[1][1:].tolist() == [16, 16]
    assert "1 annotations left out: what QuPath has detected lies in them" in caplog.text


@pytest.mark.parametrize("kind", ["detection", None])
def test_what_somebody_adds_in_qupath_is_an_object_too(of_qupath, kind):
    known = {"classified": "Cell"} | ({"objectType": kind} if kind else {})
    drawn = of_qupath(square(1, **known), square(10, **known), square(30, objectType="annotation"))
    assert np.unique(drawn).tolist() == [0, 1, 2, 3]


def test_cells_of_all_classes_are_cells(of_qupath):
    drawn = of_qupath(
        square(1, classified="Tumor", objectType="cell"), square(20, classified="Immune cells", objectType="cell")
    )
    assert np.unique(drawn).tolist() == [0, 1, 2]


def test_the_later_is_on_top_whatever_its_class(of_qupath):
    classes = ("Cell: Positive", "Cell: Negative", "Cell: Positive")
    drawn = of_qupath(*(square(left, classified=name) for left, name in zip((1, 3, 5), classes, strict=True)))
    assert drawn[2, 1:9].tolist() == [1, 1, 2, 2, 3, 3, 3, 3]


def test_polygons_of_one_object_are_united_and_holes_cut_only_their_own(of_qupath):
    several = square(0)
    corners = [[[5, 5], [15, 5], [15, 15], [5, 15]]], [[[10, 10], [20, 10], [20, 20], [10, 20]]]
    several["geometry"] = {"type": "MultiPolygon", "coordinates": corners}
    assert (of_qupath(several) == 1).sum() == 175
    several["geometry"] = {
        "type": "Polygon",
        "coordinates": [*corners[0], [[12, 8], [20, 8], [20, 12], [12, 12]]],
    }
    assert (of_qupath(several) == 1).sum() == 88


def test_outlines_of_several_slices_are_not_drawn_over_each_other(of_qupath, tmp_path):
    planes = [square(1), square(20)]
    for z, feature in enumerate(planes):
        feature["geometry"]["plane"] = {"c": -1, "z": z, "t": 0}
    with pytest.raises(InputError, match="outlines of 2 slices or frames"):
        of_qupath(*planes)
    rois = [polygon((2, 3), (8, 3), (8, 7)), polygon((2, 3), (8, 3), (8, 7))]
    rois[0].position, rois[1].position = 1, 3
    with pytest.raises(InputError, match="outlines of 2 slices or frames"):
        read_outlines(save(tmp_path / "RoiSet.zip", *rois), SHAPE, "cell")


def text():
    roi = roifile.ImagejRoi(name="scale")
    roi.roitype, roi.subtype = roifile.ROI_TYPE.RECT, roifile.ROI_SUBTYPE.TEXT
    roi.left, roi.top, roi.right, roi.bottom = 5, 5, 10, 10
    return roi


def rounded():
    roi = text()
    roi.subtype, roi.rounded_rect_arc_size = roifile.ROI_SUBTYPE.UNDEFINED, 4
    return roi


@pytest.mark.parametrize(("roi", "kind"), [(text(), "text"), (rounded(), "rounded rectangle")], ids=str)
def test_what_is_drawn_otherwise_than_its_points_say_is_refused(roi, kind, tmp_path):
    with pytest.raises(InputError, match=f"scale: a {kind}, expected an area"):
        read_outlines(save(tmp_path / "RoiSet.zip", roi), SHAPE, "cell")


def test_a_zip_as_finder_makes_it_is_read_and_two_rois_of_one_name_too(tmp_path):
    path = tmp_path / "RoiSet.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__MACOSX/._a.roi", b"\0\5\x16\7")
        archive.writestr("set/", "")
        archive.writestr("set/readme.txt", "mine")
        archive.writestr("set/a.roi", polygon((2, 3), (8, 3), (8, 7), (2, 7)).tobytes())
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("set/a.roi", polygon((12, 3), (18, 3), (18, 7), (12, 7)).tobytes())
    drawn = read_outlines(path, SHAPE, "cell")
    assert drawn[4, 4] == 1 and drawn[4, 14] == 2


def test_any_byte_that_is_wrong_gives_outlines_or_one_line(tmp_path):
    whole = polygon((2, 3), (8, 3), (8, 7), (2, 7), name="cell").tobytes()
    packed = save(tmp_path / "RoiSet.zip", polygon((2, 3), (8, 3), (8, 7)), compression=zipfile.ZIP_DEFLATED)
    for ending, content in ((".roi", whole), (".zip", packed.read_bytes())):
        path = tmp_path / f"a{ending}"
        for at in range(len(content)):
            for damaged in (content[:at], content[:at] + bytes([content[at] ^ 0x5A]) + content[at + 1 :]):
                path.write_bytes(damaged)
                with contextlib.suppress(InputError):
                    read_outlines(path, SHAPE, "cell")
