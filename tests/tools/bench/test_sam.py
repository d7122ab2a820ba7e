"""The benchmark of Segment Anything: what it refuses, what its tables say, and the whole of it on drawn nerves."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest

from common.errors import InputError
from tools.bench import sam as module
from tools.bench.sam import boxes_by_loop, compare_boxes, compare_steps, sam
from tools.bench.testing_items import read_testing_items
from tools.convert.myelin import convert_myelin
from tools.sample.myelin import write_sample

SIZE = 64


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Two subjects, one of them for testing, with two images each."""
    folder = tmp_path_factory.mktemp("nerve")
    write_sample(folder / "source", num_subjects=2, size=96)
    convert_myelin(folder / "source", folder / "data", test=["sub-02"], name="drawn nerves")
    return folder / "data"


@pytest.fixture
def items(dataset):
    return read_testing_items(dataset)[1]


@pytest.fixture
def parts(tmp_path):
    return module._Parts("vit_tiny", SIZE, tmp_path / "embeddings")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rounds": "0"}, "--rounds 0: expected a whole number, at least 1"),
        ({"num_images": "all"}, "--num_images all: expected a whole number, at least 1"),
        ({"num_prompts": "0"}, "--num_prompts 0: expected a whole number, at least 1"),
        ({"variant": "vit_s"}, "--variant vit_s: unknown; give one of vit_tiny, vit_b, vit_l, vit_h"),
        ({"image_size": "100"}, "--image_size 100: give 1024, or for vit_tiny a multiple of 16"),
        ({"image_size": "512", "variant": "vit_b"}, "--image_size 512: give 1024"),
        ({"dataset_dir": "nowhere"}, r"nowhere/dataset\.json: not a MONAI datalist"),
        ({"datasetdir": "x"}, "unknown flag --datasetdir; did you mean --dataset_dir"),
    ],
)
def test_bad_options_are_refused(options, match):
    with pytest.raises(InputError, match=match):
        sam(**options)


def test_arguments_without_a_name_are_refused():
    with pytest.raises(InputError, match="too many arguments: data; options need a name"):
        sam("data")


def test_sizes_are_those_of_the_config_and_metas():
    config = json.loads(module.CONFIG.read_text())
    assert config["variant"] == "vit_tiny" and module._usual_size("vit_tiny") == config["image_size"]
    assert {module._usual_size(variant) for variant in module.METAS} == {1024}


def test_images_without_truth_are_no_training(dataset, tmp_path):
    image = json.loads((dataset / "dataset.json").read_text())["testing"][0]["image"]
    (tmp_path / image).parent.mkdir(parents=True)
    (tmp_path / image).write_bytes((dataset / image).read_bytes())
    (tmp_path / "dataset.json").write_text(json.dumps({"testing": [{"image": image}]}))
    with pytest.raises(InputError, match="no labels under testing; convert with truth and --test"):
        sam(dataset_dir=str(tmp_path))


@pytest.mark.parametrize("given", [True, False], ids=["given data", "synthetic sample"])
def test_whole_benchmark(dataset, monkeypatch, given):
    monkeypatch.setattr(module, "DISCS", {"num_objects": 4, "size": 40})
    monkeypatch.setattr(module, "write_sample", partial(write_sample, size=96))
    options = {"dataset_dir": str(dataset)} if given else {}
    text = sam(image_size=str(SIZE), num_images="1", num_prompts="2", rounds="1", **options)
    assert text.startswith(f"data: {'drawn nerves' if given else 'synthetic nerve'}") and ": n = 1\ndevice: " in text
    assert "\nnetwork: vit_tiny, 64 x 64 px\n" in text
    for number in (1, 2):
        assert f"\ntraining, prompts per image {number}, images 1: time per epoch  " in text
    assert "\nboxes of 4 objects in 40 x 40 px: time  " in text and "\nembeddings: images per second  " in text
    assert all(line == line.rstrip() and len(line) <= 130 for line in text.splitlines())


def test_steps_train_the_decoder_alone_with_the_embeddings_that_were_kept(parts, items):
    before = {name: weight.clone() for name, weight in parts.network.state_dict().items()}
    (row,) = compare_steps(parts, items, num_prompts=2, rounds=1)
    assert row.target == ">= 10 x" and row.met in ("yes", "no")
    assert len(list(parts.cache.folder.iterdir())) == len(items) == 2
    changed = {name for name, weight in parts.network.state_dict().items() if not (weight == before[name]).all()}
    assert changed and all(name.startswith("mask_decoder.") for name in changed)


def test_embeddings_that_are_not_kept_are_no_measurement(parts, items, monkeypatch):
    monkeypatch.setattr(type(parts.cache), "path", lambda self, image: self.folder / "other" / "none.npz")
    monkeypatch.setattr(type(parts.cache), "get", lambda self, image, compute: compute(image))
    with pytest.raises(RuntimeError, match="an embedding that was kept is not found again"):
        compare_steps(parts, items, num_prompts=1, rounds=1)


def test_prompts_and_targets_are_of_the_same_fibres(parts, items):
    example = module._example(parts, items[0], 3)
    assert example.boxes.shape == (3, 4) and example.targets.shape == (3, 1, SIZE // 4, SIZE // 4)
    assert len(module._example(parts, items[0], 10_000).boxes) == len(np.unique(module._read(items[0]["label"]))) - 1
    for (left, top, right, bottom), (target,) in zip(example.boxes.numpy(), example.targets.numpy(), strict=True):
        rows, columns = np.nonzero(target)
        assert abs(4 * columns.min() - left) < 5 and abs(4 * columns.max() + 3 - right) < 5
        assert abs(4 * rows.min() - top) < 5 and abs(4 * rows.max() + 3 - bottom) < 5


def test_loop_finds_boxes_by_hand():
    labels = np.array([[0, 7, 7, 0], [2, 0, 7, 0], [2, 2, 0, 0]])
    ids, boxes = boxes_by_loop(labels)
    assert ids.tolist() == [2, 7] and boxes.tolist() == [[0, 1, 1, 2], [1, 0, 2, 1]]


def test_boxes_are_the_loops(parts):
    labels = module.draw_drifting_discs(1, 9, 60)[0]
    (row,) = compare_boxes(parts.functions["boxes_of"], labels, rounds=1)
    assert row.what == "boxes of 9 objects in 60 x 60 px: time" and row.target == ">= 10 x"


def test_other_boxes_are_no_measurement():
    labels = np.array([[1, 1]])
    with pytest.raises(RuntimeError, match="boxes_of finds other boxes than the loop"):
        compare_boxes(lambda labels: (np.array([1]), np.array([[0, 0, 2, 1]])), labels, rounds=1)


def test_unreadable_images_are_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"a\.png: cannot be read as an image"):
        module._read(tmp_path / "a.png")
