"""Scores agree with other people's programs and with slow loops, and keep one value per image."""

import statistics

import numpy as np
import pytest
import tifffile
import torch
from ctc_metrics.metrics import seg
from ctc_metrics.utils.representations import match
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from monai.metrics import DiceMetric, MeanIoU
from sam_myelin.fibres import AXON_VALUE as AXON
from sam_myelin.fibres import MYELIN_VALUE as MYELIN
from sam_myelin.metrics import MyelinMetric, compare_sizes, compute_fibre_dice
from skimage.measure import regionprops

from tests.bundles.sam_myelin.conftest import disc

SHAPES = ((9, 14), (6, 5), (11, 11))
EMPTY = np.zeros((4, 6), int)


def image(labels, tissue=None, box_labels=None, box_tissue=None, truth=None, myelin=None):
    """Result (4, Y, X) and the truths, each (1, Y, X); what is not given is empty."""
    parts = [
        np.zeros_like(labels) if part is None else part for part in (tissue, box_labels, box_tissue, truth, myelin)
    ]
    maps = torch.from_numpy(np.stack([labels, *parts]).astype(np.int32))
    return maps[:4], {"label": maps[4:5], "myelin": maps[5:]}


def random_images(seed=0):
    """Images of different sizes with fibres in blocks, some of which are found, and one without any fibre."""
    rng, images = np.random.default_rng(seed), []
    for number, shape in enumerate(SHAPES):
        truth = np.kron(rng.integers(0, 5, (3, 3)), np.ones((4, 5), int))[: shape[0], : shape[1]]
        truth = np.pad(truth[1:-1, 1:-1], 1)  # fibres that the image cuts have no sizes
        labels, box_labels = (np.where(rng.random(shape) < 0.8, truth, rng.integers(0, 6, shape)) for _ in range(2))
        tissue, box_tissue = (rng.choice([0, MYELIN, AXON], shape) for _ in range(2))
        myelin = rng.integers(0, 2, shape)
        if number == 1:
            truth, myelin = 0 * truth, 0 * myelin
        images.append(image(labels, tissue, box_labels, box_tissue, truth, myelin))
    return images


def evaluate(kind, images):
    """Score of all images, and of each."""
    metric = MyelinMetric(kind)
    for result, truth in images:
        metric([result], [truth])
    buffer = metric.get_buffer()
    assert buffer.shape == (len(images), 1)
    return float(metric.aggregate()), buffer[:, 0].tolist()


@pytest.mark.parametrize(("prefix", "tissue"), [("", 1), ("box_", 3)], ids=["automatic", "boxes"])
@pytest.mark.parametrize(("kind", "oracle"), [("dice", DiceMetric), ("iou", MeanIoU)])
def test_overlaps_are_monais(kind, oracle, prefix, tissue):
    images, oracle = random_images(), oracle(ignore_empty=False)
    for result, truth in images:
        oracle([(result[tissue : tissue + 1] == MYELIN).float()], [(truth["myelin"] > 0).float()])
    total, each = evaluate(prefix + kind, images)
    assert each == pytest.approx(oracle.get_buffer()[:, 0].tolist())
    assert total == pytest.approx(float(oracle.aggregate()))


def seg_of_challenge(reference, result, folder):
    """SEG by py-ctcmetrics, and how many fibres it is the mean of."""
    paths = [folder / "reference.tif", folder / "result.tif"]
    for path, labels in zip(paths, (reference, result), strict=True):
        tifffile.imwrite(path, labels.astype(np.uint16))
    true_labels, _, _, _, ious = match(*map(str, paths))
    return seg([true_labels], [ious]) if true_labels else np.nan, len(true_labels)


def test_seg_is_the_challenges_and_pools_fibres(tmp_path):
    images = random_images()
    expected = [seg_of_challenge(truth["label"][0].numpy(), result[0].numpy(), tmp_path) for result, truth in images]
    total, each = evaluate("seg", images)
    assert each == pytest.approx([score for score, _ in expected], nan_ok=True) and np.isnan(each[1])
    pooled = sum(score * number for score, number in expected if number) / sum(number for _, number in expected)
    assert total == pytest.approx(pooled)
    per_image, _ = evaluate("seg_per_image", images)
    assert per_image == pytest.approx(np.nanmean([score for score, _ in expected]))


def f1_by_regions(truth, labels):
    """True positives and objects, by scikit-image's regions."""
    objects, others = ([{*map(tuple, region.coords)} for region in regionprops(map_)] for map_ in (truth, labels))
    pairs = sum(len(a & b) > 0.5 * len(a | b) for a in objects for b in others)
    return pairs, len(objects) + len(others)


def test_f1_is_that_of_regions_and_pools_fibres():
    images = random_images()
    counts = [f1_by_regions(truth["label"][0].numpy(), result[0].numpy()) for result, truth in images]
    total, each = evaluate("f1", images)
    assert each == pytest.approx([2 * pairs / objects for pairs, objects in counts])
    assert total == pytest.approx(2 * sum(pairs for pairs, _ in counts) / sum(objects for _, objects in counts))
    assert counts[0][0] > 0


def ap_by_regions(truth, labels):
    """Average precision of the Data Science Bowl, of sets of pixels and exact fractions."""
    objects, others = ([{*map(tuple, region.coords)} for region in regionprops(map_)] for map_ in (truth, labels))
    precisions = []
    for percent in range(50, 100, 5):
        pairs = sum(100 * len(a & b) > percent * len(a | b) for a in objects for b in others)
        precisions.append(pairs / (len(objects) + len(others) - pairs))
    return sum(precisions) / len(precisions)


def test_ap_is_the_mean_over_images():
    images = random_images()
    expected = [ap_by_regions(truth["label"][0].numpy(), result[0].numpy()) for result, truth in images]
    total, each = evaluate("ap_dsb", images)
    assert each == pytest.approx(expected) and total == pytest.approx(np.mean(expected))


def fibre_dice_by_loop(labels, myelin, true_labels, true_myelin):
    scores = []
    for fibre in np.unique(true_labels[true_myelin & (true_labels > 0)]):
        a, b = (labels == fibre) & myelin, (true_labels == fibre) & true_myelin
        scores.append(2 * (a & b).sum() / (a.sum() + b.sum()))
    return scores


maps = npst.arrays(np.int32, (5, 6), elements=st.sampled_from([0, 1, 2, 3, 70000]))
masks = npst.arrays(bool, (5, 6))


@given(maps, masks, maps, masks)
def test_dice_of_fibres_is_that_of_a_loop(labels, myelin, true_labels, true_myelin):
    parts = labels, myelin, true_labels, true_myelin
    assert compute_fibre_dice(*parts).tolist() == pytest.approx(fibre_dice_by_loop(*parts))


def test_dice_of_fibres_takes_those_from_boxes_and_pools_them():
    images = random_images()
    expected = [
        fibre_dice_by_loop(
            result[2].numpy(), result[3].numpy() == MYELIN, truth["label"][0].numpy(), truth["myelin"][0].numpy() > 0
        )
        for result, truth in images
    ]
    total, each = evaluate("fibre_dice", images)
    assert each == pytest.approx([np.mean(scores) if scores else np.nan for scores in expected], nan_ok=True)
    assert total == pytest.approx(np.mean(sum(expected, []))) and total != pytest.approx(np.nanmean(each))


@pytest.mark.parametrize(
    ("kind", "found", "true", "expected"),
    [
        ("dice", False, False, 1),
        ("box_iou", False, False, 1),
        ("iou", True, False, 0),
        ("box_dice", False, True, 0),
        ("fibre_dice", True, False, np.nan),
        ("fibre_dice", False, True, 0),
        ("seg", True, False, np.nan),
        ("seg", False, True, 0),
        ("f1", False, False, np.nan),
        ("f1", True, False, 0),
        ("f1", False, True, 0),
        ("ap_dsb", False, False, np.nan),
        ("ap_dsb", True, False, 0),
        ("g_ratio_limits", True, True, np.nan),
    ],
)
def test_where_there_is_nothing(kind, found, true, expected):
    labels, tissue, truth = EMPTY + found, EMPTY + MYELIN * found, EMPTY + true
    total, each = evaluate(kind, [image(labels, tissue, labels, tissue, truth, truth)])
    assert [total, *each] == pytest.approx([expected] * 2, nan_ok=True)


def test_axons_count_as_fibre_but_not_as_myelin():
    fibre = EMPTY + 1
    images = [image(fibre, EMPTY + AXON, fibre, EMPTY + AXON, fibre, EMPTY)]
    assert [evaluate(kind, images)[0] for kind in ("dice", "seg", "f1")] == [1, 1, 1]


def test_axons_are_those_of_the_fibres_without_their_myelin():
    truth = np.array([[5, 5, 5, 5, 0, 9, 9, 0]])
    myelin = np.array([[1, 1, 0, 1, 1, 1, 0, 0]])
    tissue = np.array([[127, 255, 255, 127, 0, 127, 127, 0]])
    images = [image(truth, tissue, truth=truth, myelin=myelin)]
    assert evaluate("axon_dice", images)[0] == pytest.approx(2 * 1 / (2 + 2))


def test_sizes_are_compared_with_those_of_the_fibres_that_match():
    shape = (80, 160)
    truth, labels, axon, myelin = (np.zeros(shape, int) for _ in range(4))
    for number, x in enumerate((40, 120), start=1):
        truth[disc(shape, 40, x, 20)], labels[disc(shape, 40, x, 20)] = number, 3 - number
        myelin[disc(shape, 40, x, 20) & ~disc(shape, 40, x, 12)] = 1
        axon[disc(shape, 40, x, 12 if x == 40 else 14)] = 1
    labels[0:30, 75:85] = 7  # found, but there is no such fibre
    tissue = np.where(axon, AXON, np.where(labels > 0, MYELIN, 0))
    images = [image(labels, tissue, truth=truth, myelin=myelin)]
    expected = {"g_ratio_error": 0.05, "g_ratio_bias": 0.05, "axon_diameter_error": 1 / 12, "thickness_error": 1 / 8}
    for kind, value in expected.items():
        assert evaluate(kind, images)[0] == pytest.approx(value, rel=0.08)
    assert evaluate("g_ratio_bias", [image(truth, truth=truth, myelin=myelin)])[1] == pytest.approx(
        [np.nan], nan_ok=True
    )


def test_limits_of_agreement_pool_fibres():
    rng, images, differences = np.random.default_rng(0), [], []
    for number in (1, 3, 4):
        shape = (60, 50 * number)
        truth, myelin, tissue = (np.zeros(shape, int) for _ in range(3))
        for fibre in range(number):
            centre, inner = (30, 25 + 50 * fibre), rng.uniform(8, 14, 2)
            truth[disc(shape, *centre, 18)] = fibre + 1
            myelin[disc(shape, *centre, 18) & ~disc(shape, *centre, inner[0])] = 1
            tissue[disc(shape, *centre, 18)] = MYELIN
            tissue[disc(shape, *centre, inner[1])] = AXON
        images.append(image(truth, tissue, truth=truth, myelin=myelin))
        differences.append(compare_sizes(truth, tissue == AXON, truth, (truth > 0) & (myelin == 0)))
    for name in ("g_ratio", "axon_diameter"):
        each = [values[name].tolist() for values in differences]
        total, spreads = evaluate(f"{name}_limits", images)
        assert total == pytest.approx(1.96 * statistics.stdev(sum(each, [])))
        assert spreads == pytest.approx(
            [np.nan, *(1.96 * statistics.stdev(values) for values in each[1:])], nan_ok=True
        )


def test_images_of_another_modality_are_undefined():
    images = [
        (result, truth | {"modality": name}) for (result, truth), name in zip(random_images(), "aba", strict=True)
    ]
    metric = MyelinMetric("dice", modality="a")
    metric(*map(list, zip(*images, strict=True)))
    assert np.isnan(metric.get_buffer()[:, 0].numpy()).tolist() == [False, True, False]
    _, each = evaluate("dice", [images[0], images[2]])
    assert float(metric.aggregate()) == pytest.approx(np.mean(each))


@pytest.mark.parametrize("kind", MyelinMetric.KINDS)
def test_order_of_images_and_batches_change_nothing(kind):
    images = random_images(3)
    metric = MyelinMetric(kind)
    metric(*map(list, zip(*images[::-1], strict=True)))
    total, each = evaluate(kind, images)
    assert float(metric.aggregate()) == pytest.approx(total, nan_ok=True)
    assert metric.get_buffer()[:, 0].tolist() == pytest.approx(each[::-1], nan_ok=True)


def test_impossible_kinds_and_inputs():
    with pytest.raises(ValueError, match="kind is 'ap', expected one of dice, iou, box_dice"):
        MyelinMetric("ap")
    with pytest.raises(ValueError, match="nothing to aggregate: call the metric on an image first"):
        MyelinMetric("seg").aggregate()
    result, truth = image(EMPTY)
    with pytest.raises(
        ValueError, match=r"y_pred \(4, 4, 6\), label \(1, 4, 6\), myelin \(2, 4, 6\): expected results \(4, Y, X\)"
    ):
        MyelinMetric("dice")([result], [truth | {"myelin": result[:2]}])
    with pytest.raises(ValueError, match="reference: labels are float32, expected integers"):
        MyelinMetric("seg")([result], [truth | {"label": truth["label"].float()}])
