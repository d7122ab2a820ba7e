"""Average precision is that of pycocotools."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from common.labels.average_precision import average_precision, match_by_score
from common.metrics.average_precision import COCO_IOUS
from tests.common.labels.images import label_pairs

PLANES = st.tuples(st.integers(3, 9), st.integers(3, 9))


def score(images, min_ious=COCO_IOUS):
    """Average precision of images (truth, result, scores)."""
    found = [match_by_score(result, truth, scores, min_ious) for truth, result, scores in images]
    matched = np.concatenate([matched for matched, _ in found])
    return average_precision(matched, np.concatenate([scores for *_, scores in images]), sum(n for _, n in found))


def by_pycocotools(images):
    """The same by pycocotools, -1 where the truth has no object."""
    truths, results = [], []
    for number, (truth, result, scores) in enumerate(images, start=1):
        for labels, certain, target in ((truth, None, truths), (result, scores, results)):
            for index, label in enumerate(np.unique(labels[labels > 0])):
                mask = coco_mask.encode(np.asfortranarray((labels == label).astype(np.uint8)))
                area = float((labels == label).sum())
                entry = {
                    "id": len(target) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "segmentation": mask,
                    "area": area,
                }
                entry |= {"iscrowd": 0} if certain is None else {"score": float(certain[index])}
                entry |= {"bbox": coco_mask.toBbox(mask).tolist()}
                target.append(entry)
    coco, detected = COCO(), COCO()
    pictures = [
        {"id": number, "height": truth.shape[0], "width": truth.shape[1]}
        for number, (truth, *_) in enumerate(images, start=1)
    ]
    for dataset, entries in ((coco, truths), (detected, results)):
        dataset.dataset = {"images": pictures, "categories": [{"id": 1}], "annotations": entries}
        with contextlib.redirect_stdout(io.StringIO()):
            dataset.createIndex()
    evaluation = COCOeval(coco, detected, "segm")
    evaluation.params.maxDets = [1000]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, 0, 0, 0].mean(axis=1)


@settings(max_examples=80)
@given(st.lists(label_pairs(PLANES), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_agrees_with_pycocotools(pairs, random):
    images = []
    for truth, result in pairs:
        # no two equal ones: among equals COCO lets the order of files decide
        scores = np.array([random.random() for _ in np.unique(result[result > 0])])
        images.append((truth, result, scores))
    if not any(result.any() for _, result, _ in images):
        return  # pycocotools has no figure without any result
    expected = by_pycocotools(images)
    np.testing.assert_allclose(score(images), np.where(expected < 0, np.nan, expected), atol=1e-9)


def test_a_false_object_costs_less_the_less_sure_it_is():
    truth = np.array([[1, 1, 0, 2, 2, 0, 0, 0]])
    result = np.array([[1, 1, 0, 2, 2, 0, 3, 3]])
    for scores, expected in (([0.9, 0.8, 0.1], 1.0), ([0.8, 0.1, 0.9], 2 / 3)):
        assert score([(truth, result, np.array(scores))], [0.5]) == pytest.approx(expected)


def test_nothing_found_is_0_and_nothing_to_find_is_nan():
    truth, empty, none = np.array([[1, 0]]), np.zeros((1, 2), int), np.zeros(0)
    assert score([(truth, empty, none)], [0.5]) == 0
    assert np.isnan(score([(empty, truth, np.ones(1))], [0.5]))


def test_scores_that_are_not_one_each():
    with pytest.raises(ValueError, match="1 scores for 2 objects, expected one each"):
        match_by_score(np.array([[1, 2]]), np.array([[1, 2]]), np.ones(1), [0.5])
