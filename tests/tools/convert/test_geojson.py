"""Polygons of QuPath become the pixels whose centres they hold."""

import numpy as np
import pytest

from tools.convert.geojson import choose_features, find_polygons, rasterise

SQUARE = [[2, 3], [6, 3], [6, 8], [2, 8], [2, 3]]  # x from 2 to 6, y from 3 to 8
HOLE = [[3, 4], [5, 4], [5, 6], [3, 6], [3, 4]]
SHAPE = (12, 10)


def geometry(kind, coordinates):
    return {"type": kind, "coordinates": coordinates}


def feature(kind, coordinates):
    return {"type": "Feature", "geometry": geometry(kind, coordinates), "properties": {"objectType": "annotation"}}


def draw(document):
    return rasterise(find_polygons(document), SHAPE)


def square(hole=False):
    mask = np.zeros(SHAPE, bool)
    mask[3:8, 2:6] = True
    if hole:
        mask[4:6, 3:5] = False
    return mask


def test_polygons_in_other_units_are_not_taken_for_none():
    with pytest.raises(ValueError, match="its 1 polygons hold no pixel; export them in pixels"):
        draw(geometry("Polygon", [[[x / 100, y / 100] for x, y in SQUARE]]))


@pytest.mark.parametrize(
    "document",
    [
        {"type": "FeatureCollection", "features": [feature("Polygon", [SQUARE])]},
        [feature("Polygon", [SQUARE])],
        feature("Polygon", [SQUARE]),
        geometry("Polygon", [SQUARE]),
        geometry("MultiPolygon", [[SQUARE]]),
        {"type": "GeometryCollection", "geometries": [geometry("Polygon", [SQUARE])]},
        geometry("Polygon", [[[*point, 0.0] for point in SQUARE]]),
        geometry("Polygon", [SQUARE[::-1]]),
    ],
    ids=str,
)
def test_every_form_of_document_draws_the_same(document):
    np.testing.assert_array_equal(draw(document), square())


def test_hole_is_left_out_and_an_island_in_it_is_not():
    np.testing.assert_array_equal(draw([feature("Polygon", [SQUARE, HOLE])]), square(hole=True))
    island = [[3, 4], [4, 4], [4, 5], [3, 5], [3, 4]]
    expected = square(hole=True)
    expected[4, 3] = True
    np.testing.assert_array_equal(draw([feature("Polygon", [SQUARE, HOLE]), feature("Polygon", [island])]), expected)
    np.testing.assert_array_equal(draw(feature("MultiPolygon", [[SQUARE, HOLE], [island]])), expected)


def test_no_feature_is_an_empty_mask():
    assert not draw({"type": "FeatureCollection", "features": []}).any()


@pytest.mark.parametrize("seed", range(5))
def test_pixels_are_those_whose_centre_an_even_odd_ray_finds_inside(seed):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
    ring = np.column_stack([5 + 4.3 * rng.uniform(0.4, 1, 9) * np.cos(angles), 6 + 5 * np.sin(angles)])
    mask = draw(geometry("Polygon", [ring.tolist()]))
    for y, x in np.ndindex(SHAPE):
        crossings = 0
        for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if (y1 > y + 0.5) != (y2 > y + 0.5):
                crossings += x + 0.5 < x1 + (y + 0.5 - y1) * (x2 - x1) / (y2 - y1)
        assert mask[y, x] == crossings % 2


def test_contour_along_the_border_may_lie_a_pixel_outside():
    ring = [[-1, -0.5], [10.5, -0.5], [10.5, 13], [-1, 13], [-1, -0.5]]
    assert draw(geometry("Polygon", [ring])).all()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (feature("LineString", SQUARE), "feature 1: LineString, expected Polygon or MultiPolygon"),
        ([feature("Polygon", [SQUARE]), feature("Point", [1, 2])], "feature 2: Point, expected"),
        ({"type": "Feature", "geometry": None}, "feature 1: NoneType, expected"),
        ({"some": "json"}, "feature 1: None, expected Polygon"),
        (feature("Polygon", []), "feature 1: a polygon without rings"),
        (feature("MultiPolygon", None), "feature 1: a polygon without rings"),
        (feature("Polygon", [SQUARE[:2]]), "feature 1: a ring without three points of two numbers"),
        (feature("Polygon", [[[1, 1], [1, 1], [1, 1], [1, 1]]]), "feature 1: a ring without three points"),
        (feature("Polygon", [[[1, "a"], [2, 3], [4, 5]]]), "feature 1: a ring without three points"),
        (feature("Polygon", [[[1, float("nan")], [2, 3], [4, 5]]]), "feature 1: a ring without three points"),
        (feature("Polygon", [[1, 2, 3]]), "feature 1: a ring without three points"),
        (
            feature("Polygon", [[[1, 1], [50, 1], [1, 9]]]),
            "x from 1 to 50 and y from 1 to 9, the image has 10 x 12 pixels",
        ),
        (feature("Polygon", [[[-9, 1], [5, 1], [1, 9]]]), "x from -9 to 5 .*give the outlines of this image"),
    ],
    ids=str,
)
def test_wrong_geometry_is_refused(document, reason):
    with pytest.raises(ValueError, match=reason):
        draw(document)


@pytest.mark.parametrize(
    ("classes", "taken"),
    [
        (["Crypt", "Non-crypt"], ["Crypt"]),
        (["no crypts", "Crypts"], ["Crypts"]),
        (["Not a crypt", "Crypt: abnormal", "Crypt"], ["Crypt: abnormal", "Crypt"]),
        (["noncrypt", "gland"], ["gland"]),
    ],
)
def test_class_that_denies_what_is_meant_is_not_taken_for_it(classes, taken):
    features = [{"type": "Feature", "properties": {"classification": {"name": name}}} for name in classes]
    chosen, left_out = choose_features(features, "crypt")
    assert sorted(feature["properties"]["classification"]["name"] for feature in chosen) == sorted(taken)
    assert set(left_out) == set(classes) - set(taken)


@pytest.mark.parametrize(
    "classification", [{"names": ["Crypt", "Large"]}, {"name": "Large", "parentClass": {"name": "Crypt"}}]
)
def test_part_of_a_class_is_of_that_class(classification):
    features = [
        {"type": "Feature", "properties": {"classification": about}} for about in (classification, "Other gland")
    ]
    chosen, left_out = choose_features(features, "crypt")
    assert chosen == features[:1] and left_out == {"Other gland": 1}


def test_only_what_is_not_meant_is_refused():
    features = [{"type": "Feature", "properties": {"classification": {"name": "Non-crypt"}}}]
    with pytest.raises(ValueError, match="annotations of the classes Non-crypt; expected one named crypt"):
        choose_features(features, "crypt")
