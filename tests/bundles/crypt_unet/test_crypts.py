"""Crypts as objects, found at the working resolution and painted at the slide's."""

import tracemalloc

import numpy as np
import pytest
import torch
from crypt_unet.crypts import (
    Crypt,
    CryptMaskd,
    FindCryptsd,
    NumberCryptsd,
    find_crypts,
    least_pixels,
    number,
    paint,
    part_touching,
)
from monai.data import MetaTensor
from scipy import ndimage

EIGHT = np.ones((3, 3), bool)


def blobs(shape: tuple[int, int], seed: int, sigma: float = 3) -> np.ndarray:
    """Smooth probabilities, about a third of them above 0.5, with holes and blobs at the border."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return (1 / (1 + np.exp(2 - 5 * noise / noise.std()))).astype(np.float32)


def painted(crypts: list[Crypt], shape: tuple[int, int]) -> np.ndarray:
    return paint(crypts, 0, 0, *shape)


def slide_of(probability: np.ndarray, slide_shape, downsample) -> dict[str, MetaTensor]:
    meta = {"filename_or_obj": "a.tiff", "slide_shape": slide_shape, "downsample": downsample}
    image = MetaTensor(torch.zeros(3, *probability.shape, dtype=torch.uint8), meta=meta)
    return {"image": image, "pred": MetaTensor(torch.from_numpy(probability)[None])}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_at_full_resolution_the_thresholded_mask_comes_back_object_by_object(seed, threshold):
    probability = blobs((70, 90), seed)
    crypts = find_crypts(probability, (70, 90), 1, threshold=threshold, min_area=0, fill_holes=False)
    labels, number = ndimage.label(probability > threshold, EIGHT)
    assert len(crypts) == number > 3
    for crypt in crypts:
        own = painted([crypt], labels.shape)
        np.testing.assert_array_equal(own, labels == labels[own][0])


@pytest.mark.parametrize("seed", range(5))
def test_holes_are_filled_as_scipy_fills_them(seed):
    probability = np.random.default_rng(seed).random((70, 90), np.float32)
    expected = ndimage.binary_fill_holes(probability > 0.4)
    assert np.count_nonzero(expected) > np.count_nonzero(probability > 0.4)
    crypts = find_crypts(probability, (70, 90), 1, threshold=0.4, min_area=0)
    np.testing.assert_array_equal(painted(crypts, (70, 90)), expected)
    assert sum(crypt.mask.sum() for crypt in crypts) == expected.sum()


@pytest.mark.parametrize("downsample", [2, 3, 8])
def test_enlarged_as_torch_does_it_with_blocks_aligned(downsample):
    probability = blobs((40, 50), 1, sigma=4)  # far enough from each other that no gap has to be kept
    shape = (40 * downsample, 50 * downsample)
    enlarged = torch.nn.functional.interpolate(
        torch.from_numpy(probability).double()[None, None], shape, mode="bilinear", align_corners=False
    )[0, 0].numpy()
    found = painted(find_crypts(probability, shape, downsample, min_area=0, fill_holes=False), shape)
    clear = np.abs(enlarged - 0.5) > 1e-5
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(found[clear], enlarged[clear] > 0.5)


def test_a_working_pixel_covers_its_block():
    probability = np.zeros((6, 7), np.float32)
    probability[2:4, 3:6] = 1
    (crypt,) = find_crypts(probability, (24, 28), 4, min_area=0)
    assert (crypt.top, crypt.left) == (8, 12)
    assert crypt.mask.shape == (8, 12)
    assert crypt.mask[1:-1, 1:-1].all() and crypt.mask[0, 4] and not crypt.mask[0, 0]


@pytest.mark.parametrize("slide_shape", [(21, 26), (22, 25), (24, 28)])
def test_partial_blocks_and_borders_are_filled_to_the_last_pixel(slide_shape):
    (crypt,) = find_crypts(np.ones((6, 7), np.float32), slide_shape, 4, min_area=0)
    assert (crypt.top, crypt.left, crypt.mask.shape) == (0, 0, slide_shape)
    assert crypt.mask.all()


def test_probability_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"\(6, 7\), expected \(6, 8\): \(24, 29\) pixels by 4"):
        find_crypts(np.zeros((6, 7), np.float32), (24, 29), 4)


def test_small_ones_are_dropped_by_slide_pixels():
    probability = np.zeros((20, 20), np.float32)
    probability[2:5, 2:5], probability[10:14, 10:14] = 1, 1
    areas = [int(crypt.mask.sum()) for crypt in find_crypts(probability, (80, 80), 4, min_area=0)]
    small, large = areas
    assert small < large
    assert len(find_crypts(probability, (80, 80), 4, min_area=small)) == 2
    assert len(find_crypts(probability, (80, 80), 4, min_area=small + 1)) == 1
    assert len(find_crypts(probability, (80, 80), 4, min_area=large)) == 1
    assert find_crypts(probability, (80, 80), 4, min_area=large + 1) == []


@pytest.mark.parametrize("downsample", [1, 2, 4, 5])
def test_a_gap_of_one_working_pixel_stays_a_gap(downsample):
    probability = np.full((9, 11), 0.49, np.float32)
    probability[2:7, 1:5], probability[2:7, 6:10] = 1, 1
    shape = (9 * downsample, 11 * downsample)
    crypts = find_crypts(probability, shape, downsample, min_area=0)
    assert len(crypts) == ndimage.label(painted(crypts, shape), EIGHT)[1] == 2


def test_a_corner_that_breaks_leaves_two_connected_crypts():
    probability = np.zeros((9, 9), np.float32)
    probability[1:5, 1:5], probability[5:8, 5:8] = 0.6, 0.6
    crypts = find_crypts(probability, (36, 36), 4, min_area=0)
    assert len(crypts) == 2
    assert all(ndimage.label(crypt.mask, EIGHT)[1] == 1 for crypt in crypts)
    assert len(find_crypts(probability, (9, 9), 1, min_area=0)) == 1


def test_crypts_are_tight_and_ordered_and_do_not_overlap():
    crypts = find_crypts(blobs((90, 120), 7), (357, 478), 4, min_area=0)
    assert [(c.top, c.left) for c in crypts] == sorted((c.top, c.left) for c in crypts)
    for crypt in crypts:
        assert crypt.mask[0].any() and crypt.mask[-1].any() and crypt.mask[:, 0].any() and crypt.mask[:, -1].any()
    assert painted(crypts, (357, 478)).sum() == sum(crypt.mask.sum() for crypt in crypts)


def test_nothing_found():
    assert find_crypts(np.zeros((5, 5), np.float32), (20, 20), 4) == []
    assert not paint([], 3, 4, 5, 6).any() and paint([], 3, 4, 5, 6).shape == (5, 6)


def test_any_window_is_a_part_of_the_whole():
    shape = (160, 200)
    crypts = find_crypts(blobs((40, 50), 3), shape, 4, min_area=0)
    whole = painted(crypts, shape)
    for top, left, height, width in [(0, 0, 160, 1), (7, 11, 40, 60), (100, 150, 60, 50), (31, 0, 1, 200)]:
        window = paint(crypts, top, left, height, width)
        np.testing.assert_array_equal(window, whole[top : top + height, left : left + width])


def test_memory_stays_far_below_the_slide():
    probability = np.zeros((500, 500), np.float32)
    probability[20:40, 20:40], probability[450:470, 470:490] = 1, 1
    tracemalloc.start()
    crypts = find_crypts(probability, (8000, 8000), 16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(crypts) == 2
    assert peak < 8000 * 8000 / 4


def test_mask_transform_gives_the_slide_its_size_and_the_image_its_metadata():
    probability = blobs((10, 13), 2)
    data = slide_of(probability, [torch.tensor(38), np.int64(50)], torch.tensor(4))
    mask = CryptMaskd("pred", threshold=0.4, min_area_um2=5)(data)["pred"]
    assert mask.dtype == torch.uint8 and mask.shape == (1, 38, 50)
    assert isinstance(mask, MetaTensor) and mask.meta["filename_or_obj"] == "a.tiff"
    crypts = find_crypts(probability, (38, 50), 4, threshold=0.4, min_area=20)
    np.testing.assert_array_equal(mask.numpy()[0], painted(crypts, (38, 50)))
    assert data["pred"].shape == (1, 10, 13)


@pytest.mark.parametrize("step", [1, 3, 7])
def test_numbers_lie_where_the_crypts_are_painted(step):
    crypts = find_crypts(blobs((10, 13), 2), (38, 50), 4, threshold=0.4, min_area=20)
    labels = number(crypts, (38, 50), step)
    assert len(crypts) > 1
    for label, crypt in enumerate(crypts, start=1):
        np.testing.assert_array_equal(labels == label, paint([crypt], 0, 0, 38, 50)[::step, ::step])


def test_a_large_slide_is_numbered_smaller():
    data = FindCryptsd("pred", threshold=0.4, min_area_um2=5)(slide_of(blobs((10, 13), 2), (38, 50), 4))
    whole, small = (NumberCryptsd("pred", max_pixels=size)(data)["pred"] for size in (38 * 50, 500))
    assert whole.shape == (1, 38, 50) and small.shape == (1, 19, 25)
    assert torch.equal(whole[:, ::2, ::2], small) and whole.numpy().max() == len(data["crypts"])


def two_discs(gap: float, size: int = 64, radius: float = 12) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of two discs that overlap or not, and of their cores."""
    y, x = np.indices((size, size))
    away = np.minimum(np.hypot(y - 32, x - 32 + radius + gap / 2), np.hypot(y - 32, x - 32 - radius - gap / 2))
    return np.stack([1 / (1 + np.exp(away - radius)), 1 / (1 + np.exp(away - radius + 4))]).astype(np.float32)


@pytest.mark.parametrize("gap", [-6, -3, -1])
def test_touching_crypts_are_parted_between_their_cores(gap):
    probability = two_discs(gap)
    assert ndimage.label(probability[0] > 0.5, EIGHT)[1] == 1
    parted = part_touching(probability, 0.5, 0.5)
    labels, number = ndimage.label(parted > 0.5, EIGHT)
    assert number == 2
    assert abs((labels == 1).sum() - (labels == 2).sum()) <= 0.02 * (labels > 0).sum()
    assert len(find_crypts(parted, (512, 512), 8, min_area=0)) == 2
    lost = (probability[0] > 0.5) & (labels == 0)
    assert np.ptp(np.argwhere(lost)[:, 1]) <= 2, "a line down the middle"


@pytest.mark.parametrize("seed", range(5))
def test_parting_only_takes_away_and_leaves_one_core_to_each(seed):
    crypt, core = blobs((70, 90), seed), blobs((70, 90), seed + 50, sigma=2)
    parted = part_touching(np.stack([crypt, core]), 0.5, 0.6)
    assert np.isin(parted, [0, *crypt.ravel()]).all() and (parted <= crypt).all()
    before, after = (ndimage.label(image > 0.5, EIGHT)[0] for image in (crypt, parted))
    cores, _ = ndimage.label((crypt > 0.5) & (core > 0.6), EIGHT)
    for label in range(1, after.max() + 1):
        assert len(np.unique(cores[(after == label) & (cores > 0)])) <= 1
    alone = [label for label in range(1, before.max() + 1) if len(np.unique(cores[before == label])) <= 2]
    kept = np.isin(before, [label for label in alone if np.unique(cores[before == label])[0] == 0])
    np.testing.assert_array_equal(parted[kept], crypt[kept], err_msg="with one core or none there is nothing to part")


def test_a_network_that_knows_no_cores_parts_nothing():
    probability = two_discs(0)[:1]
    np.testing.assert_array_equal(part_touching(probability, 0.5, 0.5), probability[0])


@pytest.mark.parametrize(("pixel_um", "pixels"), [(0.5, 4000), (0.25, 16000), (0.0, 4000), (torch.tensor(1.0), 1000)])
def test_smallest_area_is_in_micrometres(pixel_um, pixels):
    image = MetaTensor(torch.zeros(3, 2, 2), meta={"pixel_size_um": pixel_um})
    assert least_pixels(image, 1000, slide_um=0.5) == pixels
