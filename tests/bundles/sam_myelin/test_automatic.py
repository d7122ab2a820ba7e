"""Fibres are found where axons are surrounded by myelin, each with its own sheath."""

import numpy as np
import pytest
from sam_myelin.automatic import fibres_from_classes, find_fibres, has_bright_myelin, prompts_from_classes
from sam_myelin.fibres import merge_fibres
from sam_myelin.prompts import boxes_of
from scipy import ndimage

from tests.bundles.sam_myelin.conftest import disc

SHAPE = (60, 100)


def probabilities(labels: np.ndarray, axon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of myelin and axon, as sure as a network is."""
    return np.where((labels > 0) & ~axon, 0.8, 0.1).astype(np.float16), np.where(axon, 0.9, 0.1).astype(np.float16)


@pytest.fixture
def touching() -> tuple[np.ndarray, np.ndarray]:
    """Two fibres side by side, whose sheaths touch, and one alone."""
    labels = np.zeros(SHAPE, int)
    axon = np.zeros(SHAPE, bool)
    for label, (y, x, inner, outer) in enumerate([(20, 20, 8, 14), (20, 47, 7, 13), (40, 80, 6, 9)], start=1):
        labels[disc(SHAPE, y, x, outer) & (labels == 0)] = label
        axon |= disc(SHAPE, y, x, inner)
    return labels, axon


def test_touching_sheaths_are_parted(touching):
    labels, axon = touching
    prompts, found_axon = prompts_from_classes(*probabilities(labels, axon))
    np.testing.assert_array_equal(found_axon, axon)
    np.testing.assert_array_equal(prompts.ids, [1, 2, 3])
    np.testing.assert_array_equal(prompts.points, [[20, 20], [47, 20], [80, 40]])
    np.testing.assert_allclose(prompts.boxes, boxes_of(labels)[1], atol=1)


def test_without_a_decoder_the_sheaths_are_those_of_the_network(touching):
    labels, axon = touching
    fibres = fibres_from_classes(*probabilities(labels, axon))
    maps = merge_fibres(fibres, SHAPE)
    np.testing.assert_array_equal(maps.axonmyelin == 255, axon)
    np.testing.assert_array_equal(maps.myelin, (labels > 0) & ~axon)
    assert np.mean(maps.labels[labels > 0] == labels[labels > 0]) > 0.98
    assert all(0.8 < fibre.score < 0.9 for fibre in fibres)


def test_axons_are_wider_where_a_smaller_share_is_enough(touching):
    labels, axon = touching
    rim = axon & ~ndimage.binary_erosion(axon)
    myelin_probability, axon_probability = (each.astype(np.float32) for each in probabilities(labels, axon))
    myelin_probability[rim], axon_probability[rim] = 0.6, 0.4
    narrow, wide = (find_fibres(myelin_probability, axon_probability, axon_share=share).axon for share in (0.41, 0.39))
    np.testing.assert_array_equal(narrow, axon & ~rim)
    np.testing.assert_array_equal(wide, axon)


def test_specks_and_bare_axons_are_left_out(touching):
    labels, axon = touching
    axon = axon | disc(SHAPE, 50, 10, 5)  # no myelin around
    axon[10:13, 80:83] = True  # myelin around, but it is small
    labels = np.where(disc(SHAPE, 11, 81, 5), 9, labels)
    prompts, found = prompts_from_classes(*probabilities(labels, axon), min_axon_px=10)
    assert len(prompts.ids) == 3 and not found[50, 10] and not found[11, 81]
    assert len(prompts_from_classes(*probabilities(labels, axon), min_axon_px=9)[0].ids) == 4


def test_gaps_between_fibres_and_axons_in_half_a_sheath_are_no_axons(touching):
    labels, axon = touching
    cross = np.zeros(SHAPE, bool)
    cross[50:59, 4:7] = cross[53:56, 1:10] = True  # fills five ninths of its square
    labels = np.where(disc(SHAPE, 54, 5, 8) & (labels == 0), 9, labels)
    half = disc(SHAPE, 20, 85, 6)
    labels[14:27, 86:94] = np.where(labels[14:27, 86:94] == 0, 8, labels[14:27, 86:94])  # on one side only
    maps = probabilities(labels, axon | cross | half)
    numbers = [
        len(np.unique(find_fibres(*maps, min_solidity=solidity, min_sheath=sheath).labels)) - 1
        for solidity, sheath in ((0, 0), (0.9, 0), (0, 0.8), (0.9, 0.8))
    ]
    assert numbers == [5, 4, 4, 3]


def test_what_is_neither_myelin_nor_axon_for_sure_is_one_of_both():
    inside = disc((21, 21), 10, 10, 8)
    axon = np.where(disc((21, 21), 10, 10, 4), 0.5, 0.3) * inside
    found = find_fibres(0.8 * inside - axon, axon)
    np.testing.assert_array_equal(found.labels > 0, inside)
    np.testing.assert_array_equal(found.axon, disc((21, 21), 10, 10, 4))


def test_myelin_of_an_axon_that_was_not_found_is_not_its_neighbours(touching):
    labels, axon = touching
    missed = axon & (labels != 2)
    found = find_fibres(*probabilities(np.where((labels == 2) & axon, 0, labels), missed))
    own = found.labels == found.labels[20, 20]
    assert (own & (labels == 1)).sum() > 0.99 * (labels == 1).sum()
    assert not own[:, 48:].any(), "with a g-ratio of 0.3, the radius would be 27 pixels"


def test_holes_in_axons_are_filled(touching):
    labels, axon = touching
    holes = axon & ~disc(SHAPE, 20, 20, 2)
    np.testing.assert_array_equal(find_fibres(*probabilities(labels, holes)).axon[:, :30], axon[:, :30])


def test_the_more_probable_counts():
    inside = np.zeros((9, 9), bool)
    inside[3:6, 3:6] = True
    myelin, axon = np.where(inside, 0.6, 0.65), np.where(inside, 0.7, 0.6)
    np.testing.assert_array_equal(find_fibres(myelin, axon, min_axon_px=1).axon, inside)


def test_nothing_to_find():
    nothing = np.zeros((2, *SHAPE), np.float16)
    prompts, axon = prompts_from_classes(*nothing)
    assert len(prompts.ids) == 0 and prompts.boxes.shape == (0, 4) and not axon.any()
    assert fibres_from_classes(*nothing) == []
    assert not find_fibres(nothing[0] + 1, nothing[1]).labels.any(), "myelin alone is no fibre"


def test_bare_axons_are_fibres_without_myelin_on_request(touching):
    labels, axon = touching
    alone, half = disc(SHAPE, 50, 10, 5), disc(SHAPE, 20, 85, 6)
    labels[14:27, 86:94] = np.where(labels[14:27, 86:94] == 0, 8, labels[14:27, 86:94])  # a sheath on one side only
    maps = probabilities(labels, axon | alone | half)
    dropped = find_fibres(*maps, min_sheath=0.6)
    kept = find_fibres(*maps, min_sheath=0.6, keep_bare_axons=True)
    np.testing.assert_array_equal(kept.labels[~alone & ~half], dropped.labels[~alone & ~half])
    assert not dropped.axon[alone | half].any() and kept.axon[alone | half].all()
    fibres = fibres_from_classes(*maps, min_sheath=0.6, keep_bare_axons=True)
    assert sorted(fibre.myelin.any() for fibre in fibres) == [False, False, True, True, True]
    assert sorted(fibre.axon.sum() for fibre in fibres if not fibre.myelin.any()) == sorted([alone.sum(), half.sum()])


def test_without_any_sheath_all_axons_are_bare():
    axon = disc(SHAPE, 20, 20, 8) | disc(SHAPE, 30, 60, 8)
    maps = probabilities(np.zeros(SHAPE, int), axon)
    assert not find_fibres(*maps).labels.any()
    found = find_fibres(*maps, keep_bare_axons=True)
    np.testing.assert_array_equal(found.labels > 0, axon)
    assert len(np.unique(found.labels)) == 3


def test_myelin_is_bright_if_its_mean_is_above_that_of_axons(touching):
    labels, axon = touching
    maps = probabilities(labels, axon)
    gray = np.random.default_rng(0).random(SHAPE).astype(np.float32) + np.where(axon, 0, 0.5)
    means = [np.average(gray, weights=weight) for weight in maps]
    assert means[0] > means[1] and has_bright_myelin(gray, *maps) and not has_bright_myelin(-gray, *maps)
    assert not has_bright_myelin(gray, maps[0], 0 * maps[1])
