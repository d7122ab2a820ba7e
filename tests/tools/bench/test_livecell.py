"""The benchmark of phase contrast: what it refuses, what its tables say, and the whole of it on drawn images."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import torch

from common.errors import InputError
from tools.bench import livecell as module
from tools.bench.livecell import compare_inference, livecell
from tools.bench.testing_items import read_testing_items
from tools.convert.livecell import convert_livecell
from tools.sample.livecell import write_sample

POINTWISE = {"network_def": {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 1, "kernel_size": 1}}
RANDOM = {"ours": "none"}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The synthetic sample; one image is for testing."""
    folder = tmp_path_factory.mktemp("livecell") / "source"
    write_sample(folder, num_images=3)
    return folder


@pytest.fixture(scope="module")
def dataset(source):
    convert_livecell(source, source.parent / "data", name="drawn cells")
    return source.parent / "data"


@pytest.fixture
def items(dataset):
    return read_testing_items(dataset)[1]


def save_pointwise(path, bias):
    network = torch.nn.Conv2d(1, 1, 1)
    torch.nn.init.zeros_(network.weight), torch.nn.init.constant_(network.bias, bias)
    torch.save(network.state_dict(), path)
    return str(path)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rounds": "0"}, "--rounds 0: expected a whole number, at least 1"),
        ({"num_images": "all"}, "--num_images all: expected a whole number, at least 1"),
        ({"ckpt_path": "nowhere.pt"}, r"nowhere\.pt: no such checkpoint; train first"),
        ({"squash_ckpt_path": "nowhere.pt"}, "--squash_ckpt_path with random weights"),
        ({"dataset_dir": "nowhere"}, r"nowhere/dataset\.json: not a MONAI datalist"),
        ({"source_dir": "nowhere"}, "nowhere: no such file or folder"),
        ({"sourcedir": "x"}, "unknown flag --sourcedir; did you mean --source_dir"),
    ],
)
def test_bad_options_are_refused(source, dataset, options, match):
    given = {"source_dir": str(source), "dataset_dir": str(dataset), "ckpt_path": "none"} | options
    with pytest.raises((InputError, FileNotFoundError), match=match):
        livecell(**given)


def test_squash_weights_have_to_exist(tmp_path, source, dataset):
    weights = save_pointwise(tmp_path / "a.pt", 0)
    with pytest.raises(InputError, match=r"nowhere\.pt: no such checkpoint"):
        livecell(dataset_dir=str(dataset), source_dir=str(source), ckpt_path=weights, squash_ckpt_path="nowhere.pt")


def test_shipped_weights_are_the_default(dataset, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "BUNDLE", tmp_path / "bundle")
    with pytest.raises(InputError, match=r"bundle/models/model\.pt: no such checkpoint; train first"):
        livecell(dataset_dir=str(dataset))


def test_changed_keys_are_keys_of_the_config():
    config = json.loads(module.CONFIG.read_text())
    transforms = config["postprocessing"]["transforms"]
    assert transforms[2]["_target_"].endswith("SaveMaskd") and len(transforms) == 3  # what NO_SAVING switches off
    assert {"ckpt_path", "mode", "image_size", "threshold", "device", "network_def"} <= set(config)


@pytest.mark.parametrize("given", [True, False], ids=["given data", "synthetic sample"])
def test_whole_benchmark(source, dataset, monkeypatch, given):
    monkeypatch.setattr(module, "parse_config", lambda config, overrides: parse({**overrides, **POINTWISE}))
    parse = partial(module_parse_config, module.CONFIG)
    monkeypatch.setattr(module, "write_sample", partial(write_sample, num_images=3))
    options = {"source_dir": str(source), "dataset_dir": str(dataset)} if given else {}
    text = livecell(ckpt_path="none", rounds="1", num_images="2", **options)
    assert f"drawing on: {'source' if given else 'synthetic phase contrast'}" in text and ": n = 2, " in text
    assert f"inference on: {'drawn cells' if given else 'synthetic phase contrast'}" in text
    assert "\nweights, ours: none\n" in text
    assert "drawing label maps: time per image  " in text and "drawing foregrounds: time per image  " in text
    assert "inference: images per second  " in text and "IoU at the original size" not in text
    assert "truth resized to 224 x 224 and back, nearest: mean IoU, n = 1  " in text
    assert "truth resized to 224 x 224 and back, nearest-exact: mean IoU, n = 1  " in text
    assert "ONNX Runtime, 1x1x224x224: time per pass  " in text and "ONNX Runtime, 4x1x224x224: time" in text
    assert all(line == line.rstrip() and len(line) <= 130 for line in text.splitlines())


def module_parse_config(config, overrides, original=module.parse_config):
    return original(config, overrides)


def test_native_resolution_shows_every_pixel_and_squashing_one_window(items):
    images, megapixels_per_second, megapixels = compare_inference(RANDOM, items, rounds=1, overrides=POINTWISE)
    assert images.what == "inference: images per second" and float(images.ours) > 0
    assert megapixels_per_second.what == "inference: megapixels per second that the network sees"
    assert megapixels.ours == f"{520 * 704 / 1e6:.3f}" and megapixels.other == f"{224**2 / 1e6:.3f}"
    assert megapixels.ratio == "7.3 x"


def test_probabilities_have_the_original_size_and_nothing_is_written(items, tmp_path):
    for mode in module.MODES.values():
        parser = module._parser(mode, "none", {**POINTWISE, "output_dir": str(tmp_path / "out")})
        probability = module._segmenter(parser, module.network_with_weights(parser))(items[0]["image"])
        assert probability.shape == (520, 704) and 0 <= probability.min() <= probability.max() <= 1
    assert not (tmp_path / "out").exists()


def test_iou_of_both_ways_is_told_if_both_were_trained(items, tmp_path):
    weights = {"ours": save_pointwise(tmp_path / "all.pt", 5), "squash": save_pointwise(tmp_path / "nothing.pt", -5)}
    row = compare_inference(weights, items, rounds=1, overrides=POINTWISE)[-1]
    share = np.mean(module.read_foreground(items[0]["label"]))
    assert row.what == "inference: mean IoU at the original size, n = 1"
    assert (row.ours, row.other, row.ratio) == (f"{share:.4f}", "0.0000", f"{share:+.4f}")


def test_without_labels_no_iou_is_told(items, tmp_path):
    weights = {"ours": save_pointwise(tmp_path / "a.pt", 0), "squash": save_pointwise(tmp_path / "b.pt", 0)}
    rows = compare_inference(weights, [{"image": items[0]["image"]}], rounds=1, overrides=POINTWISE)
    assert len(rows) == 3


def test_rates_compare_within_a_round():
    row = module._rate_row("x", np.array([1.0, 2.0, 3.0]), np.array([4.0, 2.0, 9.0]))
    assert row == module.Row("x", "2.00", "4.00", "3.0 x slower")
    assert module._rate_row("x", np.array([3.0]), np.array([2.0])).ratio == "1.5 x faster"


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (2, [0, 9]), (3, [0, 4, 9]), (20, list(range(10)))])
def test_images_are_spread_evenly(count, expected):
    assert module._spread(list(range(10)), count) == expected
