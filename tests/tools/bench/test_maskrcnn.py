"""The benchmark of 2.5D Mask R-CNN: what it refuses, what its tables say, and the whole of it on a tiny volume."""

from __future__ import annotations

import json
from functools import partial
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch

from common.errors import InputError
from tools.bench import linking, slice_passes
from tools.bench import maskrcnn as module
from tools.bench.linking import compare_linking, dense_links, draw_drifting_discs, links_between
from tools.bench.maskrcnn import draw_volume, maskrcnn, peak_memories
from tools.bench.slice_passes import compare_passes, largest_differences, stack_slices, without_heads
from tools.convert.nifti import write_volume


@pytest.fixture(scope="module")
def network():
    """The bundle's, with random weights, as small as its knobs make it."""
    overrides = {"bundle_root": str(module.BUNDLE), "num_slices": 5, "fusion": "pixel"}
    return module.network_with_weights(module._parser({**overrides, **module.RANDOM, "detections_per_slice": 3}))


@pytest.fixture(scope="module")
def link_stack(network):
    """The bundle's, which is found once a config of the bundle was opened."""
    return module.ConfigParser(module.LINK_STACK).get_parsed_content("link")


@pytest.fixture
def dataset(tmp_path):
    (tmp_path / "images").mkdir()
    spacing = json.loads(module.CONFIG.read_text())["spacing"]  # so that nothing is resampled
    volume = np.random.default_rng(0).integers(100, 1000, (3, 32, 32), dtype=np.uint16)
    for name in "ab":
        write_volume(tmp_path / "images" / f"{name}.nii.gz", volume, spacing)
    items = [{"image": f"images/{name}.nii.gz"} for name in "ab"]
    (tmp_path / "dataset.json").write_text(json.dumps({"name": "noise", "testing": items}))
    return tmp_path


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rounds": "0"}, "--rounds 0: expected a whole number, at least 1"),
        ({"num_volumes": "all"}, "--num_volumes all: expected a whole number, at least 1"),
        ({"fusion": "early"}, "--fusion early: unknown; give one of center, channel, se, windowed, pixel, late"),
        ({"ckpt_path": "nowhere.pt"}, r"nowhere\.pt: no such checkpoint; train first"),
        ({"dataset_dir": "nowhere"}, r"nowhere/dataset\.json: not a MONAI datalist"),
        ({"datasetdir": "x"}, "unknown flag --datasetdir; did you mean --dataset_dir"),
    ],
)
def test_bad_options_are_refused(options, match):
    with pytest.raises(InputError, match=match):
        maskrcnn(**options)


def test_arguments_without_a_name_are_refused():
    with pytest.raises(InputError, match="too many arguments: data; options need a name"):
        maskrcnn("data")


def test_changed_keys_are_keys_of_the_config():
    config = json.loads(module.CONFIG.read_text())
    assert "progress" in config["inferer"] and config["fusion"] in module.FUSIONS
    assert {"fusion", "num_slices", "slab", *module.RANDOM, "min_iou", "amp"} <= set(config)


def test_every_fusion_is_measured_with_random_weights_and_one_with_trained_ones(tmp_path):
    assert [*module._ways("none", "")] == ["center", "channel", "se", "windowed", "pixel", "late"]
    (tmp_path / "late.pt").touch()
    ways = module._ways(str(tmp_path / "late.pt"), "late")
    assert ways.popitem() == ("late, trained", {"fusion": "late", "ckpt_path": str(tmp_path / "late.pt")})
    assert ways == {name: {"fusion": name, **module.RANDOM} for name in module.FUSIONS}


def test_whole_benchmark(dataset, monkeypatch):
    monkeypatch.setattr(module, "FUSIONS", ("center", "se"))
    monkeypatch.setattr(module, "SHARED", ("se",))
    monkeypatch.setattr(module, "DISCS", {"num_slices": 3, "num_objects": 4, "size": 40})
    monkeypatch.setattr(module, "run_measured", lambda command: (write_result(command), 2**30))
    text = maskrcnn(dataset_dir=str(dataset), fusion="se", num_volumes="1", rounds="1")
    assert text.startswith("data: noise: n = 1, 3 x 32 x 32 voxels\ndevice: ")
    assert "\nweights: random\n" in text
    for what in ("time per volume", "detections per slice", "peak memory"):
        assert f"\ncenter: {what}  " in text and f"\nse: {what}  " in text
    assert "\nse, n = 5, whole detection: time per volume  " in text
    assert "\nse, n = 5, backbone and fusion alone: time per volume  " in text
    assert "\nlinking 3 slices x 4 objects of 40 x 40 px  " in text
    assert "done on 4 pairs of slices" in text
    assert all(line == line.rstrip() and len(line) <= 130 for line in text.splitlines())


def write_result(command):
    settings = dict(argument[2:].split("=", 1) for argument in command if "=" in argument)
    folder = module.Path(settings["output_dir"])
    folder.mkdir()
    (folder / "x_instances.nii.gz").touch()


def test_memory_is_compared_with_the_2d_detector(tmp_path, monkeypatch):
    (tmp_path / "a.nii.gz").touch()
    peaks = iter([2**30, 3 * 2**29])
    monkeypatch.setattr(module, "run_measured", lambda command: (write_result(command), next(peaks)))
    rows = peak_memories(tmp_path / "a.nii.gz", tmp_path, {"center": {}, "se": {"fusion": "se"}})
    assert rows[0] == module.Row("center: peak memory", "1.00 GiB")
    assert rows[1] == module.Row("se: peak memory", "1.50 GiB", "1.00 GiB", "1.50 x")


def test_a_run_without_results_is_no_measurement(tmp_path, monkeypatch):
    (tmp_path / "a.nii.gz").touch()
    monkeypatch.setattr(module, "run_measured", lambda command: (1.0, 2**30))
    with pytest.raises(InputError, match=r"no instances after inference of a\.nii\.gz"):
        peak_memories(tmp_path / "a.nii.gz", tmp_path, {"center": {}})


def test_synthetic_volume_is_a_repeated_embryo(tmp_path):
    draw_volume(tmp_path / "a.nii.gz", repeats=2)
    image = np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj)
    assert image.shape == (128, 128, 24) and (image[:64, :64] == image[64:, 64:]).all() and image.std() > 0


def test_passes_agree_and_both_parts_are_told(network):
    volume = torch.rand((3, 32, 32), generator=torch.Generator().manual_seed(0))
    rows = compare_passes("pixel", network, volume, batch_size=2, rounds=1)
    assert [row.what for row in rows] == [
        "pixel, n = 5, whole detection: time per volume",
        "pixel, n = 5, backbone and fusion alone: time per volume",
        "pixel: detections in the volume",
        "pixel: largest difference of boxes",
        "pixel: largest difference of scores",
    ]
    assert rows[0].target == rows[1].target == ">= 2 x"
    assert rows[2].ours == rows[2].other and int(rows[2].ours) > 0
    assert rows[3].met == rows[4].met == "yes"


def test_without_heads_nothing_is_found_and_the_network_is_left_alone(network):
    stacks = torch.rand((2, 5, 32, 32))
    found = without_heads(network).detect(stacks)
    assert [len(item["boxes"]) for item in found] == [0, 0]
    assert not isinstance(network.rpn, slice_passes._NoProposals)


def test_stacks_repeat_the_last_slice():
    assert stack_slices(3, 5).tolist() == [[0, 0, 0, 1, 2], [0, 0, 1, 2, 2], [0, 1, 2, 2, 2]]


def detections(boxes, scores):
    return {"boxes": torch.tensor(boxes).reshape(-1, 4), "scores": torch.tensor(scores)}


def test_differences_are_the_largest_of_all_slices_and_infinite_between_different_numbers():
    one = [detections([0.0, 0, 2, 2], [0.5]), detections([], [])]
    other = [detections([0.0, 0, 2, 2.5], [0.25]), detections([], [])]
    assert largest_differences(one, other) == (0.5, 0.25)
    assert largest_differences(one, one) == (0, 0)
    assert largest_differences(one, one[::-1]) == (float("inf"), float("inf"))


@pytest.mark.parametrize("num_objects", [1, 4, 7])
def test_every_slice_has_all_discs_and_each_overlaps_its_next_one(num_objects):
    stack = draw_drifting_discs(4, num_objects, 60)
    assert stack.shape == (4, 60, 60) and stack.dtype == np.int32
    for labels in stack:
        assert np.unique(labels).tolist() == [*range(num_objects + 1)]
    for first, second in zip(stack, stack[1:], strict=False):
        links = dense_links(first, second, 0.3)
        assert sorted(links[:, 0]) == sorted(links[:, 1]) == [*range(1, num_objects + 1)]
        assert (first != second).any()


def test_the_seed_decides_the_discs():
    stacks = [draw_drifting_discs(2, 4, 40, seed=seed) for seed in (0, 0, 1)]
    assert (stacks[0] == stacks[1]).all() and (stacks[0] != stacks[2]).any()


def test_linking_finds_the_drawn_discs_and_the_dense_links(link_stack):
    stack = draw_drifting_discs(6, 9, 90)
    numbers = link_stack(stack).labels
    assert numbers.max() == 9
    for z in range(5):
        expected = dense_links(*stack[z : z + 2], 0.3)
        assert links_between(*stack[z : z + 2], numbers[z : z + 2]).tolist() == expected.tolist()


def test_dense_links_take_the_best_assignment_and_leave_out_small_overlaps():
    first = np.array([[1, 1, 1, 1, 0, 2, 2, 2, 2, 2]])
    second = np.array([[7, 3, 3, 3, 3, 5, 0, 0, 0, 0]])
    assert dense_links(first, second, 0.3).tolist() == [[1, 3]]
    assert dense_links(first, second, 0.1).tolist() == [[1, 3], [2, 5]]
    assert dense_links(first, 0 * second, 0.1).shape == (0, 2)


def test_linking_table(link_stack):
    rows = compare_linking(link_stack, draw_drifting_discs(4, 4, 40), min_iou=0.3, num_pairs=2, rounds=1)
    assert rows[0].what == "linking 4 slices x 4 objects of 40 x 40 px" and rows[0].target == "< 2 s"
    assert rows[1].ours == "4 of 4" and rows[2].target == ">= 10 x"


def test_other_links_are_no_measurement(monkeypatch):
    nothing = SimpleNamespace(labels=np.zeros((3, 40, 40), np.int32))
    with pytest.raises(RuntimeError, match="slices 0 and 1: link_stack and the dense way find other links"):
        compare_linking(lambda stack, min_iou: nothing, draw_drifting_discs(3, 4, 40), min_iou=0.3)


def test_pairs_are_spread_over_the_stack(link_stack, monkeypatch):
    seen, stack = [], draw_drifting_discs(5, 1, 20)
    monkeypatch.setattr(linking, "dense_links", partial(remember, seen, stack))
    compare_linking(link_stack, stack, min_iou=0.3, num_pairs=2, rounds=1)
    assert set(seen) == {0, 3}


def remember(seen, stack, first, second, min_iou):
    seen.append(next(z for z, labels in enumerate(stack) if labels is first or np.shares_memory(labels, first)))
    return dense_links(first, second, min_iou)
