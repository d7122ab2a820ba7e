"""Outlines: that they hold exactly the crypt's pixels, and that no reader of GeoJSON can object to them."""

import itertools
import json

import numpy as np
import pytest
import shapely
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


def assert_valid(rings: list[np.ndarray]) -> None:
    """Simple features' rules for a polygon: closed, simple, apart, holes inside and turned otherwise."""
    polygon, drawn = shapely.Polygon(rings[0], rings[1:]), [shapely.LinearRing(ring) for ring in rings]
    assert polygon.is_valid and all((ring[0] == ring[-1]).all() for ring in rings)
    assert not any(one.intersects(other) for one, other in itertools.combinations(drawn, 2))
    assert [ring.is_ccw for ring in drawn] == [True] + [False] * (len(rings) - 1)


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
