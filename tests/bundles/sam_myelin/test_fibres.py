"""Masks of single prompts become one map, in which the better mask wins."""

import numpy as np
import pytest
import torch
from sam_myelin.fibres import Fibre, fibre_of_mask, fibres_of_logits, merge_fibres, moved
from sam_myelin.normalisation import fit_to
from sam_myelin.variants import build_sam

SHAPE = (40, 40)


def disc(y: float, x: float, radius: float, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    rows, columns = np.indices(shape)
    return np.hypot(rows - y, columns - x) <= radius


def ring(y: float, x: float, inner: float, outer: float, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return disc(y, x, outer, shape) & ~disc(y, x, inner, shape)


def square(top: int, left: int, side: int, score: float) -> Fibre:
    """A sheath one pixel wide around a square axon."""
    axon = np.zeros((side, side), bool)
    axon[1:-1, 1:-1] = True
    return Fibre((top, left), axon, ~axon, score)


def test_sheath_encloses_the_axon():
    axon, myelin = fibre_of_mask(ring(20, 20, 6, 10))
    np.testing.assert_array_equal(axon, disc(20, 20, 6))
    np.testing.assert_array_equal(myelin, ring(20, 20, 6, 10))


@pytest.mark.parametrize("opening", ["border", "gap"])
def test_open_sheath_encloses_the_axon_too(opening):
    mask, expected = (ring(0, 20, 6, 10), disc(0, 20, 6)) if opening == "border" else (ring(20, 20, 6, 10),) * 2
    if opening == "gap":
        expected = disc(20, 20, 6)
        mask = mask & ~(np.indices(SHAPE)[1] > 27)
        mask[19:22, 20:] = False
    axon, myelin = fibre_of_mask(mask)
    assert not (axon & myelin).any() and (axon & expected).sum() > 0.9 * expected.sum()
    assert (axon & ~expected).sum() < 0.25 * expected.sum()


def test_known_axons_tell_what_is_inside():
    axons = disc(20, 20, 5) | disc(2, 2, 3)
    axon, myelin = fibre_of_mask(disc(20, 20, 10), part="fibre", axon=axons)
    np.testing.assert_array_equal(axon, disc(20, 20, 5))
    np.testing.assert_array_equal(myelin, ring(20, 20, 5, 10))
    np.testing.assert_array_equal(fibre_of_mask(ring(20, 20, 6, 10), axon=axons)[0], disc(20, 20, 5))


def test_mask_without_sheath():
    axon, myelin = fibre_of_mask(disc(20, 20, 5), part="axon")
    assert axon.sum() == disc(20, 20, 5).sum() and not myelin.any()
    axon, myelin = fibre_of_mask(disc(20, 20, 5), part="fibre")
    assert myelin.sum() == disc(20, 20, 5).sum() and not axon.any()
    assert not any(part.any() for part in fibre_of_mask(np.zeros(SHAPE, bool)))


def test_better_fibre_wins_the_overlap():
    maps = merge_fibres([square(0, 0, 10, 0.7), None, square(5, 5, 10, 0.9)], SHAPE, ids=[4, 5, 2])
    assert maps.labels.dtype == np.uint16
    expected = np.zeros(SHAPE, int)
    expected[:10, :10] = 4
    expected[5:15, 5:15] = 2
    np.testing.assert_array_equal(maps.labels, expected)
    assert maps.axonmyelin.dtype == np.uint8 and set(np.unique(maps.axonmyelin)) == {0, 127, 255}
    assert maps.axonmyelin[5, 5] == 127 and maps.axonmyelin[6, 6] == 255 and maps.axonmyelin[3, 3] == 255
    np.testing.assert_array_equal(maps.myelin, maps.axonmyelin == 127)
    np.testing.assert_array_equal(maps.labels > 0, maps.axonmyelin > 0)


def test_order_matters_only_among_equals():
    fibres = [square(0, 0, 10, 0.7), square(5, 5, 10, 0.9), square(2, 8, 10, 0.8)]
    forwards = merge_fibres(fibres, SHAPE, ids=[1, 2, 3])
    backwards = merge_fibres(fibres[::-1], SHAPE, ids=[3, 2, 1])
    for one, other in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(one, other)
    equal = merge_fibres([square(0, 0, 10, 0.5), square(5, 5, 10, 0.5)], SHAPE)
    assert equal.labels[7, 7] == 1


def test_two_prompts_for_one_fibre():
    twice = [square(0, 0, 10, 0.8), square(1, 1, 10, 0.9), square(20, 20, 5, 0.1)]
    assert set(np.unique(merge_fibres(twice, SHAPE, min_visible=0.5).labels)) == {0, 2, 3}
    assert set(np.unique(merge_fibres(twice, SHAPE).labels)) == {0, 1, 2, 3}
    hidden = [square(2, 2, 5, 0.1), square(0, 0, 10, 0.9)]
    assert set(np.unique(merge_fibres(hidden, SHAPE).labels)) == {0, 2}


@pytest.mark.parametrize(("number", "dtype"), [(300, np.uint16), (65_535, np.uint16), (65_536, np.int32)])
def test_many_fibres_keep_their_numbers(number, dtype):
    labels = merge_fibres([square(0, 0, 3, 1)], SHAPE, ids=[number]).labels
    assert labels.dtype == dtype and labels.max() == number


def test_no_fibres():
    maps = merge_fibres([], SHAPE)
    assert maps.labels.shape == SHAPE and not any(part.any() for part in maps)


@pytest.mark.parametrize("ids", [[], [0], [1, 2]])
def test_wrong_ids(ids):
    with pytest.raises(ValueError, match="for 1 fibres; give one each, from 1"):
        merge_fibres([square(0, 0, 3, 1)], SHAPE, ids=ids)


def test_fibres_of_logits_are_in_the_images_pixels():
    fit = fit_to((48, 30), 64)  # 4/3 pixels of the input per pixel of the image, and 3 per cell of the logits
    drawn = ring(8, 5, 2, 4, (16, 16))
    sure = torch.from_numpy(np.where(drawn, 6.0, -6.0)[None, None]).float()
    logits = torch.cat([sure, torch.full_like(sure, -9), sure / 6])
    found, nothing, unsure = fibres_of_logits(logits, fit)
    assert nothing is None and found.score > unsure.score > 0.5
    maps = merge_fibres([found], fit.shape)
    y, x = (where.mean() for where in np.nonzero(maps.labels))
    assert (y, x) == pytest.approx((25, 16), abs=0.75)
    assert np.count_nonzero(maps.labels) == pytest.approx(9 * disc(8, 5, 4, (16, 16)).sum(), rel=0.15)
    assert maps.axonmyelin[25, 16] == 255


@pytest.mark.parametrize("shape", [(48, 30), (64, 64), (90, 200)])
@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_windows_hold_what_whole_masks_hold(shape, threshold):
    fit = fit_to(shape, 64)
    logits = torch.randn(20, 1, 16, 16, generator=torch.Generator().manual_seed(0)) - 2
    axon = np.indices(shape).sum(axis=0) % 5 == 0
    masks = build_sam("efficient", image_size=64).postprocess_masks(logits, fit.resized, fit.shape)[:, 0]
    for probability, fibre in zip(
        masks.sigmoid().numpy(),
        fibres_of_logits(logits, fit, part="fibre", axon=axon, threshold=threshold),
        strict=True,
    ):
        mask, drawn, inside = probability >= threshold, np.zeros(shape, bool), np.zeros(shape, bool)
        assert mask.any() == (fibre is not None)
        if fibre is None:
            continue
        drawn[fibre.window], inside[fibre.window] = fibre.axon | fibre.myelin, fibre.axon
        undecided = np.abs(probability - threshold) < 1e-5
        np.testing.assert_array_equal(drawn | undecided, mask | undecided)
        np.testing.assert_array_equal(inside, drawn & axon)
        assert fibre.score == pytest.approx(probability[mask].mean(), abs=1e-4)


def test_what_is_drawn_in_the_padding_is_no_fibre():
    logits = torch.full((1, 1, 16, 16), -9.0)
    logits[0, 0, :, 15] = 9
    assert list(fibres_of_logits(logits, fit_to((48, 30), 64))) == [None]


def test_many_logits_stay_in_order():
    logits = torch.full((40, 1, 4, 4), -5.0)
    for number in range(40):
        logits[number, 0, number % 4, (number // 4) % 4] = 20
    fibres = list(fibres_of_logits(logits, fit_to((16, 16), 16), part="fibre"))
    assert len(fibres) == 40
    for number, fibre in enumerate(fibres):
        rows, columns = fibre.window
        assert rows.start <= 4 * (number % 4) + 2 < rows.stop
        assert columns.start <= 4 * (number // 4 % 4) + 2 < columns.stop


def test_fibre_of_a_tile_is_moved_into_the_image():
    assert moved(square(2, 3, 5, 1), 10, 20).corner == (12, 23) and moved(None, 1, 1) is None
