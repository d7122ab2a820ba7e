"""Truth beside its image: the offset is found to a part of a voxel, told from chance, and undone."""

import json

import nibabel as nib
import numpy as np
import pytest

from common.errors import InputError
from tools.__main__ import VERBS
from tools.command_line import run
from tools.convert.alignment import agreement, estimate_offset, move_labels
from tools.convert.ctc import ctc

SHAPE = (26, 64, 64)
CENTRES = np.array([(9, 16, 16), (16, 16, 46), (12, 46, 18), (15, 45, 47)], float)
RADII = (4.2, 7.3, 6.8)


def distances(centres):
    """How deep every voxel lies in each ellipsoid, 1 at its surface."""
    grid = np.stack(np.mgrid[tuple(slice(size) for size in SHAPE)], -1)
    return [np.linalg.norm((grid - centre) / RADII, axis=-1) for centre in centres]


def draw_truth(centres):
    labels = np.zeros(SHAPE, np.uint16)
    for index, distance in enumerate(distances(centres), 1):
        labels[distance < 1] = index
    return labels


def draw_image(centres, rng):
    bright = sum(rng.uniform(200, 400) / (1 + np.exp((distance - 1) * 12)) for distance in distances(centres))
    return rng.poisson(bright + 100).astype(np.uint16)


def frames(offset, count=4, seed=0):
    """Images, and a truth that has to be moved by ``offset`` to lie on them."""
    rng = np.random.default_rng(seed)
    places = [CENTRES + rng.uniform(-1.5, 1.5, CENTRES.shape) for _ in range(count)]
    return [(draw_image(centres, rng), draw_truth(centres - offset)) for centres in places]


@pytest.mark.parametrize("offset", [(0.25, -0.5, 1.0), (-1.0, 0.25, 0.5), (0.5, 0.0, -0.25), (0.0, 0.0, 0.0)])
@pytest.mark.parametrize("count", [1, 4])
def test_known_offset_is_found_within_a_tenth_of_a_voxel(offset, count):
    found = estimate_offset([agreement(image, truth) for image, truth in frames(offset, count)])
    np.testing.assert_allclose(found.voxels, offset, atol=0.1)
    np.testing.assert_allclose(found.significant, offset, atol=0.1)
    assert found.num_frames == count


def test_truth_on_its_image_is_not_moved():
    found = estimate_offset([agreement(image, truth) for image, truth in frames((0, 0, 0))])
    assert found.significant == (0, 0, 0)


def test_offset_that_differs_from_frame_to_frame_is_not_more_than_chance():
    both_ways = [frames((0, sign * 0.6, 0), 1, seed)[0] for seed, sign in enumerate([1, -1, 1, -1, 1, -1])]
    found = estimate_offset([agreement(image, truth) for image, truth in both_ways])
    assert found.significant[1] == 0


def test_objects_at_the_border_and_other_images_tell_nothing():
    image, truth = frames((0, 0, 0), 1)[0]
    assert estimate_offset([agreement(image[:, :, 40:], truth[:, :, 40:] * (truth[:, :, 40:] == 9))]) is None
    assert len(agreement(image[:, 16:], truth[:, 16:])) == 2
    flat = np.zeros(SHAPE, np.uint16)
    assert estimate_offset([agreement(flat, truth)]) is None


def test_moved_truth_lies_on_the_image_keeps_ids_and_volumes():
    offset = (0.25, -0.5, 1.0)
    image, truth = frames(offset, 1)[0]
    truth = truth.astype(np.int32) * (2**29 - 1)  # an id may be as large as its type
    moved = move_labels(truth, offset)
    assert moved.dtype == truth.dtype
    ids, before = np.unique(truth, return_counts=True)
    again, after = np.unique(moved, return_counts=True)
    np.testing.assert_array_equal(ids, again)
    np.testing.assert_allclose(after[1:], before[1:], rtol=0.02)
    left = estimate_offset([agreement(image, moved)])
    np.testing.assert_allclose(left.voxels, 0, atol=0.15)


def test_moving_by_whole_voxels_is_a_shift():
    truth = draw_truth(CENTRES)
    moved = move_labels(truth, (0, 2, -1))
    shifted = np.roll(truth, (2, -1), (1, 2))
    assert ((moved > 0) & (shifted > 0)).sum() > 0.97 * (shifted > 0).sum()


def test_object_at_the_border_keeps_to_it():
    """Beyond the border it goes on: only the sides that are seen are moved."""
    truth = np.zeros(SHAPE, np.uint16)
    truth[:, 20:40, :12] = 1
    moved = move_labels(truth, (0.0, 0.0, 2.0))
    assert moved[:, 24:36, :14].all() and not moved[:, :, 15:].any()


@pytest.fixture
def source(put, tmp_path):
    for number, (image, truth) in enumerate(frames((0.0, -0.5, 0.5), 3)):
        put(f"01/t{number:03}.tif", image)
        put(f"01_GT/SEG/man_seg{number:03}.tif", truth)
        put(f"01_GT/TRA/man_track{number:03}.tif", truth * np.uint16(3))
    return tmp_path / "source"


def converted(folder, kind="labels"):
    return np.asarray(nib.load(folder / kind / "01_t000.nii.gz").dataobj)


def test_converter_moves_the_truth_never_the_image_and_says_so(source, tmp_path, capsys):
    raw, aligned = tmp_path / "raw", tmp_path / "aligned"
    options = {"spacing": (2.0, 0.8, 0.8), "folds": 1}
    ctc(source, raw, **options)
    reported = ctc(source, tmp_path / "report", align="report", **options)
    words = ["--spacing", "2.0,0.8,0.8", "--align", "--folds", "1"]  # with no value
    assert run(VERBS, ["convert", "ctc", str(source), str(aligned), *words]) == 0
    fact = json.loads((aligned / "dataset.json").read_text())["alignment"]["01"]
    np.testing.assert_allclose(fact["moved_by"], (0, -0.5, 0.5), atol=0.1)
    assert "Y -0.5" in str(reported["offset of 01"]) and "moved by" in capsys.readouterr().out
    assert "truth aligned" in json.loads((aligned / "dataset.json").read_text())["name"]
    np.testing.assert_array_equal(converted(raw, "images"), converted(aligned, "images"))
    np.testing.assert_array_equal(converted(raw), converted(tmp_path / "report"))
    assert (converted(raw) != converted(aligned)).any()
    np.testing.assert_array_equal(converted(aligned, "markers"), converted(aligned) * 3)
    assert "alignment" not in json.loads((raw / "dataset.json").read_text())


def test_folder_converted_without_is_aligned_by_a_second_run(source, tmp_path):
    options = {"spacing": (2.0, 0.8, 0.8), "folds": 1}
    ctc(source, tmp_path / "out", **options)
    before = converted(tmp_path / "out")
    ctc(source, tmp_path / "out", align="True", **options)
    assert (converted(tmp_path / "out") != before).any()


def test_word_for_the_option_that_is_none(source, tmp_path):
    with pytest.raises(InputError, match="--align yes: expected --align alone, or --align report"):
        ctc(source, tmp_path / "out", spacing=(1.0, 1.0, 1.0), align="yes")
