"""Objects on top of each other are two, whatever the detections between them say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from maskrcnn_2p5d.splitting import axial_profiles, cut_profile, split_along_z, trim_profile

TWO = np.array([1, 4, 9, 8, 3, 2, 4, 8, 7, 2.0])


def tower(profile: np.ndarray, name: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """An object of 2 x 3 pixels in all slices, with this brightness."""
    labels, image = np.zeros((2, len(profile), 4, 5))
    labels[:, 1:3, 1:4] = name
    image[:, 1:3, 1:4] = profile[:, None, None]
    return labels.astype(np.int32), image


def slices_of(labels: np.ndarray, number: int) -> list[int]:
    return np.flatnonzero((labels == number).any(axis=(1, 2))).tolist()


def test_two_peaks_are_two_objects_and_one_peak_is_one():
    labels, parents = split_along_z(*tower(TWO, name=3), min_tail=0)
    assert [slices_of(labels, number) for number in (1, 2)] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert parents.tolist() == [3, 3] and labels.max() == 2
    labels, parents = split_along_z(*tower(np.array([1.0, 4, 9, 8, 3, 2])), min_tail=0)
    assert slices_of(labels, 1) == [0, 1, 2, 3, 4, 5] and parents.tolist() == [1]


def test_dark_ends_are_taken_off_each_piece():
    labels, _ = split_along_z(*tower(np.concatenate([[0.1, 0.1], TWO, [0.1, 0.1]])), min_tail=0.55)
    assert [slices_of(labels, number) for number in (1, 2)] == [[3, 4, 5], [8, 9, 10]]


def test_nothing_is_cut_and_taken_off_on_demand():
    labels, image = tower(TWO)
    result, parents = split_along_z(labels, image, max_valley=0, min_tail=0)
    assert np.array_equal(result, labels) and parents.tolist() == [1]


@given(npst.arrays(np.int32, (6, 3, 4), elements=st.integers(0, 3)), st.integers(0, 9))
def test_pieces_are_parts_of_their_parents_in_order_and_contiguous(labels, seed):
    image = np.random.default_rng(seed).normal(0.5, 1, labels.shape)
    result, parents = split_along_z(labels, image, min_tail=0.3)
    assert np.setdiff1d(result, [0]).tolist() == list(range(1, len(parents) + 1))
    firsts = []
    for number, parent in enumerate(parents.tolist(), start=1):
        assert (labels[result == number] == parent).all()
        inside = slices_of(result, number)
        assert np.array_equal(result[inside] == number, labels[inside] == parent)  # slices are taken whole
        firsts.append(inside[0])
    assert firsts == sorted(firsts)


def test_profiles_are_means_over_the_object_smoothed_and_interpolated():
    labels, image = np.zeros((2, 5, 2, 2))
    labels[[1, 3], 0, 0], image[:, 0, 0], image[:, 1, 1] = 2, [9, 4, 100, 8, -5], 50
    ((label, (slices, profile)),) = axial_profiles(labels.astype(np.int32), image).items()
    assert (
        label == 2
        and slices.tolist() == [1, 3]
        and profile.tolist() == [(2 * 4 + 6) / 4, (4 + 12 + 8) / 4, (6 + 16) / 4]
    )


@pytest.mark.parametrize(
    ("profile", "max_valley", "min_slices", "cuts"),
    [
        ([5, 1, 5], 0.9, 1, [1]),
        ([5, 1, 5], 0.2, 1, []),
        ([5, 1, 5], 0.9, 2, []),
        ([5, 1, 5, 2, 5], 0.9, 1, [1, 3]),
        ([5, 4, 3, 2, 1], 0.9, 1, []),
        ([0, 0, 0], 0.9, 1, []),
        ([7], 0.9, 1, []),
    ],
)
def test_cuts(profile, max_valley, min_slices, cuts):
    assert cut_profile(np.array(profile, float), max_valley, min_slices) == cuts


def test_ends():
    assert trim_profile(np.array([1, 5, 2, 10, 4, 0.0]), 0.3) == (1, 4)
    assert trim_profile(np.zeros(3), 0.5) == (0, 3)


def test_no_object():
    labels, parents = split_along_z(np.zeros((2, 3, 3), np.int32), np.zeros((2, 3, 3)))
    assert not labels.any() and parents.shape == (0,)
