"""Outlines: that they hold exactly the crypt's pixels, and that no reader of GeoJSON can object to them."""

import itertools
import json
from fractions import Fraction

import numpy as np
import pytest
from crypt_unet.crypts import Crypt, find_crypts, paint
from crypt_unet.outlines import feature_collection, outline
from scipy import ndimage

from tools.convert.geojson import find_polygons, rasterise


def random_crypts(seed: int, shape=(60, 70), *, rough: bool = False) -> list[Crypt]:
    """Crypts with holes, corners and pixels at the border."""
    noise = np.random.default_rng(seed).normal(size=shape)
    noise = noise if rough else ndimage.gaussian_filter(noise, 1.5)
    level = np.quantile(noise, 0.65 if rough else 0.55)
    return find_crypts((noise > level).astype(np.float32), shape, 1, min_area=0, fill_holes=False)


def orientation(a, b, c) -> int:
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return (area > 0) - (area < 0)


def on_segment(a, b, c) -> bool:
    inside = all(min(a[k], b[k]) <= c[k] <= max(a[k], b[k]) for k in (0, 1))
    return inside and orientation(a, b, c) == 0


def share_a_point(a, b, c, d) -> bool:
    proper = orientation(a, b, c) * orientation(a, b, d) < 0 and orientation(c, d, a) * orientation(c, d, b) < 0
    return proper or on_segment(a, b, c) or on_segment(a, b, d) or on_segment(c, d, a) or on_segment(c, d, b)


def assert_valid(rings: list[np.ndarray]) -> None:
    """Simple features' rules for a polygon, by exact arithmetic: closed, simple, apart, holes inside, turned right."""
    for number, ring in enumerate(rings):
        assert len(ring) >= 4 and (ring[0] == ring[-1]).all()
        assert len({tuple(point) for point in ring[:-1].tolist()}) == len(ring) - 1
        (x, y), (u, v) = ring[:-1].T, ring[1:].T
        assert ((x * v - u * y).sum() > 0) == (number == 0)
    segments = []
    for number, ring in enumerate(rings):
        points = [(Fraction(x), Fraction(y)) for x, y in ring.tolist()]
        segments += [(number, n, len(points) - 1, a, b) for n, (a, b) in enumerate(itertools.pairwise(points))]
    for (ring, n, size, a, b), (other, m, _, c, d) in itertools.combinations(segments, 2):
        if ring == other and (m - n) % size == 1:
            assert not on_segment(a, b, d) and not on_segment(c, d, a)
        elif ring == other and (n - m) % size == 1:
            assert not on_segment(a, b, c) and not on_segment(c, d, b)
        else:
            assert not share_a_point(a, b, c, d)
    for number, hole in enumerate(rings[1:], 1):
        point = hole[0].tolist()
        assert encloses(rings[0], point)
        assert not any(encloses(other, point) for k, other in enumerate(rings) if k not in (0, number))


def encloses(ring: np.ndarray, point: list[float]) -> bool:
    """Even-odd rule, by a ray to the right."""
    x, y = map(Fraction, point)
    inside = False
    for (ax, ay), (bx, by) in itertools.pairwise([(Fraction(u), Fraction(v)) for u, v in ring.tolist()]):
        if (ay > y) != (by > y):
            inside ^= x < ax + (y - ay) * (bx - ax) / (by - ay)
    return inside


@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_unsimplified_polygons_give_the_painted_mask_back(seed, rough):
    crypts = random_crypts(seed, rough=rough)
    document = json.loads(json.dumps(feature_collection(crypts, "slide", tolerance=0)))
    assert any(len(rings) > 1 for rings in find_polygons(document))
    np.testing.assert_array_equal(rasterise(find_polygons(document), (60, 70)), paint(crypts, 0, 0, 60, 70))


@pytest.mark.parametrize("tolerance", [0, 0.5, 2])
@pytest.mark.parametrize(("seed", "rough"), [(0, False), (1, False), (2, True)])
def test_every_polygon_is_valid_and_inside_the_slide(seed, rough, tolerance):
    for crypt in random_crypts(seed, (16, 20), rough=rough):
        rings = outline(crypt, tolerance)
        assert_valid(rings)
        points = np.concatenate(rings)
        assert points.min() >= 0 and (points <= (20, 16)).all()


def test_the_checker_of_this_file_finds_bad_rings():
    bow_tie = np.array([(0, 0), (2, 2), (2, 0), (0, 2), (0, 0)], float)
    square = np.array([(0, 0), (4, 0), (4, 4), (0, 4), (0, 0)], float)
    for rings in ([bow_tie], [square[::-1]], [square, square[::-1] + 5], [square, square[::-1] + (4, 0)]):
        with pytest.raises(AssertionError):
            assert_valid(rings)


def test_simplified_outlines_are_short_and_stay_within_the_tolerance():
    y, x = np.indices((200, 200)) - 99.5
    crypt = Crypt(300, 400, np.hypot(y, x / 0.8) < 95)
    (ring,) = outline(crypt)
    (full,) = outline(crypt, 0)
    assert len(ring) < len(full) / 5
    mask = rasterise([[ring - (400, 300)]], (200, 200))
    distance = np.minimum(ndimage.distance_transform_edt(crypt.mask), 1e9) + ndimage.distance_transform_edt(~crypt.mask)
    assert distance[mask != crypt.mask].max() <= 1


def test_one_pixel_is_a_diamond_around_its_centre():
    (ring,) = outline(Crypt(5, 7, np.ones((1, 1), bool)), tolerance=0)
    assert {tuple(point) for point in ring.tolist()} == {(7.5, 5), (8, 5.5), (7.5, 6), (7, 5.5)}


def test_pieces_are_refused():
    mask = np.zeros((5, 5), bool)
    mask[0, 0], mask[4, 4] = True, True
    with pytest.raises(ValueError, match=r"at \(3, 4\) of 2 pieces, expected 1"):
        outline(Crypt(3, 4, mask))
    with pytest.raises(ValueError, match="of 0 pieces"):
        outline(Crypt(3, 4, np.zeros((2, 2), bool)))


def test_features_are_what_qupath_opens_as_annotations():
    crypts = random_crypts(0)
    document = feature_collection(crypts, "slide")
    assert document["type"] == "FeatureCollection" and len(document["features"]) == len(crypts)
    feature = document["features"][1]
    assert feature["type"] == "Feature" and feature["geometry"]["type"] == "Polygon"
    assert feature["properties"] == {
        "objectType": "annotation",
        "name": "Crypt 2",
        "classification": {"name": "Crypt", "color": [0, 160, 0]},
    }
    ids = [feature["id"] for feature in document["features"]]
    assert len(set(ids)) == len(ids)
    assert ids == [feature["id"] for feature in feature_collection(crypts, "slide")["features"]]
    assert ids[0] != feature_collection(crypts, "another")["features"][0]["id"]


def test_no_crypt_is_no_feature():
    assert feature_collection([], "slide") == {"type": "FeatureCollection", "features": []}
