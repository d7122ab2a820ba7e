"""A frame is compared with whatever truth it has, and files that are no label images are refused by name."""

import numpy as np
import pytest

from common.errors import InputError
from common.labels.det import Detections
from common.labels.mistakes import Mistakes
from common.labels.sweep import F1Sweep
from tests.common.labels.images import oracle_of_files
from tools.score.folders import FrameFiles
from tools.score.frame import score_frame

REFERENCE = np.array([[[1, 1, 0, 0]], [[1, 1, 2, 0]], [[0, 0, 2, 2]]], np.uint16)
RESULT = np.array([[[5, 0, 0, 0]], [[5, 5, 0, 0]], [[0, 0, 6, 6]]], np.uint16)


@pytest.fixture
def frame(put):
    """Function that writes the files of a frame of three slices, and scores it."""

    def score(result=RESULT, reference=None, slices=None, markers=None, **options):
        return score_frame(
            FrameFiles(
                "01",
                0,
                result=put("mask000.tif", result, **options),
                segmentation=None if reference is None else put("man_seg000.tif", reference),
                slices={z: put(f"man_seg_000_{z:03d}.tif", labels) for z, labels in (slices or {}).items()},
                markers=None if markers is None else put("man_track000.tif", markers),
            )
        )

    return score


def objects(score):
    """Slice, label, result and IoU of every reference object."""
    return [
        (z, *row)
        for z, matches in score.matches.items()
        for row in zip(matches.labels.tolist(), matches.results.tolist(), matches.ious.tolist(), strict=True)
    ]


def test_whole_frame(frame):
    score = frame(reference=REFERENCE)
    assert objects(score) == [(None, 1, 5, 3 / 4), (None, 2, 6, 2 / 3)]
    assert (score.complete, score.mistakes, score.f1.num_matched[:4]) == (True, Mistakes(), (2, 2, 2, 2))


def test_every_object_of_every_slice_counts_for_itself(frame):
    score = frame(slices={2: REFERENCE[2], 1: REFERENCE[1]})
    assert objects(score) == [(1, 1, 5, 1.0), (1, 2, 0, 0.0), (2, 2, 6, 1.0)]
    assert (score.complete, score.f1, score.mistakes) == (False, F1Sweep(), Mistakes(missed=1))


def test_single_slice_agrees_with_py_ctcmetrics(frame, tmp_path):
    score = frame(slices={1: REFERENCE[1]})
    source = tmp_path / "source"
    expected, _ = oracle_of_files([source / "man_seg_000.tif"], [source / "mask000.tif"])  # it finds the slices itself
    assert score.matches[1].ious.mean() == pytest.approx(expected, abs=1e-12)


def test_frame_with_more_markers_than_objects_is_partially_annotated(frame):
    partial = np.where(REFERENCE == 1, REFERENCE, 0)
    score = frame(reference=partial, markers=REFERENCE)
    assert objects(score) == [(None, 1, 5, 3 / 4)]
    assert (score.complete, score.mistakes.extra, score.detections) == (False, 0, Detections(num_markers=2))
    assert frame(reference=partial).mistakes == Mistakes(extra=1)


def test_markers_alone(frame):
    score = frame(markers=np.where(REFERENCE == 2, 70000, 0).astype(np.uint32))
    assert (objects(score), score.detections) == ([], Detections(num_markers=1, num_extra=1))


def test_frame_without_objects(frame):
    score = frame(np.zeros_like(RESULT), reference=np.zeros_like(REFERENCE), markers=np.zeros_like(REFERENCE))
    assert (objects(score), score.detections, score.mistakes) == ([], Detections(), Mistakes())


@pytest.mark.parametrize("kind", ["reference", "markers"])
def test_frames_of_different_shape(frame, kind):
    with pytest.raises(InputError, match=r"mask000.tif: shape \(3, 1, 4\), expected \(2, 1, 4\) as in .*man_.*000.tif"):
        frame(**{kind: REFERENCE[:2]})


def test_slice_of_another_shape_or_outside_the_volume(frame):
    with pytest.raises(InputError, match=r"shape \(1, 1, 4\), expected \(1, 1, 3\) as in .*man_seg_000_001.tif"):
        frame(slices={1: REFERENCE[1][:, :3]})
    with pytest.raises(
        InputError, match="man_seg_000_003.tif: slice 3, but .*mask000.tif has 3 slices, counted from 0"
    ):
        frame(slices={3: REFERENCE[0]})


def test_colour_result(frame):
    with pytest.raises(InputError, match=r"mask000.tif: 3 samples per pixel \(RGB\), expected one gray value"):
        frame(np.zeros((4, 5, 3), np.uint8), reference=REFERENCE, photometric="rgb")


def test_float_result(frame):
    with pytest.raises(InputError, match="mask000.tif: labels are float32, expected integers; export one whole number"):
        frame(RESULT.astype(np.float32), reference=REFERENCE)


def test_negative_label(frame):
    with pytest.raises(InputError, match="mask000.tif: label -6, expected 0 for background and positive numbers"):
        frame(-RESULT.astype(np.int16), reference=REFERENCE)
    with pytest.raises(InputError, match="man_seg000.tif: label -2, expected 0"):
        frame(reference=-REFERENCE.astype(np.int32))
