"""Outlines that ImageJ and QuPath write are drawn as the objects that they were."""

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


def save(path, *rois):
    with zipfile.ZipFile(path, "w") as archive:
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


def test_a_single_oval_is_as_large_as_an_ellipse(tmp_path):
    roi = roifile.ImagejRoi()
    roi.roitype, roi.left, roi.top, roi.right, roi.bottom = roifile.ROI_TYPE.OVAL, 5, 5, 35, 25
    (tmp_path / "a.roi").write_bytes(roi.tobytes())
    area = (read_outlines(tmp_path / "a.roi", SHAPE, "cell") == 1).sum()
    assert area == pytest.approx(np.pi * 15 * 10, rel=0.02)


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


def test_other_classes_of_qupath_are_left_out(tmp_path, caplog):
    def feature(name, left):
        ring = [[left, 1], [left + 4, 1], [left + 4, 5], [left, 5], [left, 1]]
        return {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"classification": {"name": name}},
        }

    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature("Debris", 1), feature("Cell", 20)]}))
    with caplog.at_level(logging.WARNING):
        drawn = read_outlines(path, SHAPE, "cell")
    assert np.unique(drawn).tolist() == [0, 1] and drawn[2, 21] == 1
    assert "1 annotations of the class Debris left out" in caplog.text
