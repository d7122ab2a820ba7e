"""The benchmark of whole slides: what it refuses, what its tables say, and the whole of it on drawn slides."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from monai.bundle import ConfigWorkflow

from common.errors import InputError
from tools.bench import bundle_config
from tools.bench import crypts as module
from tools.bench.crypts import compare_inference, compare_run_lengths, crypts, many_short_runs, peak_memory
from tools.bench.testing_items import read_testing_items
from tools.bench.whole_slides import SlideTimes
from tools.convert.crypts import convert_crypts
from tools.sample.crypts import write_sample

POINTWISE = {"_target_": "torch.nn.Conv2d", "in_channels": 3, "out_channels": 1, "kernel_size": 1}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """The synthetic sample, converted; one slide is for testing."""
    folder = tmp_path_factory.mktemp("crypts")
    write_sample(folder / "source", size=512)
    convert_crypts(folder / "source", folder / "data", num_folds=3, test=["slide_04"])
    return folder / "data"


@pytest.fixture
def overrides():
    """Random weights."""
    return {"bundle_root": str(module.BUNDLE), "ckpt_path": "none"}


def rows_by_name(rows):
    return {row.what: row for row in rows}


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"dataset_dir": ""}, "--dataset_dir missing; give a converted dataset"),
        ({"rounds": "0"}, "--rounds 0: expected a whole number, at least 1"),
        ({"skip_large": "yes"}, "--skip_large yes: expected True or False"),
        ({"ckpt_path": "nowhere.pt"}, r"nowhere\.pt: no such checkpoint"),
        ({"dataset_dir": "nowhere"}, r"nowhere/dataset\.json: not a MONAI datalist"),
        ({"skip_larg": "True"}, "unknown flag --skip_larg; did you mean --skip_large"),
    ],
)
def test_bad_options_are_refused(dataset, options, match):
    with pytest.raises(InputError, match=match):
        crypts(**{"dataset_dir": str(dataset), "ckpt_path": "none", "skip_large": "True"} | options)


@pytest.mark.parametrize(
    ("testing", "match"),
    [
        ([], "nothing under testing; convert with --test"),
        ([{"image": "gone.tiff"}], r"gone\.tiff: no such file, but .*dataset\.json lists it"),
        (["x"], "not a MONAI datalist"),
        ([{"label": "x"}], "not a MONAI datalist .*image"),
    ],
)
def test_datasets_without_slides_are_refused(tmp_path, testing, match):
    (tmp_path / "dataset.json").write_text(json.dumps({"testing": testing}))
    with pytest.raises(InputError, match=match):
        crypts(dataset_dir=str(tmp_path), ckpt_path="none")


def test_shipped_weights_are_the_default(dataset, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "BUNDLE", tmp_path / "bundle")
    with pytest.raises(InputError, match=r"bundle/models/model\.pt: no such checkpoint; train first"):
        crypts(dataset_dir=str(dataset))


def test_changed_keys_are_keys_of_the_config():
    config = json.loads(module.CONFIG.read_text())
    assert "progress" in config["inferer"]["inferer"]
    assert {"ckpt_path", "dataset_dir", "output_dir", "save_probability", "downsample", "threshold"} <= set(config)


def test_whole_benchmark_on_a_drawn_slide(dataset, monkeypatch):
    monkeypatch.setattr(module, "RLE_SHAPE", (30, 40))
    monkeypatch.setattr(bundle_config, "ConfigWorkflow", partial(ConfigWorkflow, network_def=POINTWISE))
    monkeypatch.setattr(module, "peak_memory", lambda folder, overrides: [module.Row("peak", "1 GiB")])
    text = crypts(dataset_dir=str(dataset), ckpt_path="none")
    assert text.startswith("data: source: n = 1\ndevice: ") and "\nweights: none\n" in text
    assert "slide_04, 512 x 512: time, full resolution  " in text and ">= 2 x" in text
    assert "slide_04, 512 x 512: Dice, 1/8 as ours  " in text
    assert "30x40, " in text and "peak  1 GiB" in text
    assert all(line == line.rstrip() and len(line) <= 120 for line in text.splitlines())


def test_large_slide_can_be_left_out(dataset, monkeypatch):
    monkeypatch.setattr(module, "compare_inference", lambda *args, **options: [])
    monkeypatch.setattr(module, "_compare_all_run_lengths", lambda items: [])
    assert "resident set" not in crypts(dataset_dir=str(dataset), ckpt_path="none", skip_large="True")


def test_pointwise_network_scores_alike_in_tiles_of_the_same_slide(dataset, overrides):
    _, items = read_testing_items(dataset)
    rows = rows_by_name(compare_inference({**overrides, "network_def": POINTWISE, "amp": False}, items, rounds=2))
    dice = rows["slide_04, 512 x 512: Dice, 1/8 as ours"]
    assert abs(float(dice.ours) - float(dice.other)) < 0.1  # ours leaves out what was never scanned
    assert rows["slide_04: windows without tissue, skipped"].ours == "0 of 1, 0 %"


def test_without_labels_no_dice_is_told(dataset, overrides):
    _, items = read_testing_items(dataset)
    items = [{"image": item["image"]} for item in items]
    rows = compare_inference({**overrides, "network_def": POINTWISE}, items)
    assert [row.what.split(": ")[1].split(",")[0] for row in rows] == ["time", "time", "windows without tissue"]


def test_skipped_windows_are_those_of_glass(dataset, overrides):
    _, items = read_testing_items(dataset)
    small = {**overrides, "network_def": POINTWISE, "roi_size": [16, 16], "downsample": 8, "overlap": 0.0}
    row = rows_by_name(compare_inference(small, items))["slide_04: windows without tissue, skipped"]
    skipped, total = map(int, row.ours.split(",")[0].split(" of "))
    assert total == 16 and 0 < skipped < total


def test_peak_memory_of_every_result(tmp_path, overrides):
    peak, seconds = peak_memory(tmp_path, {**overrides, "network_def": POINTWISE}, size=600, drawn_size=300)
    assert peak.what == "inference of 600 x 600 RGB: peak memory" and peak.ours.endswith(" GiB")
    assert float(peak.ours.split()[0]) > 0 and peak.target == "< 4 GiB"
    assert seconds.ours.endswith(" s")


def test_missing_result_is_told(tmp_path, overrides, monkeypatch):
    monkeypatch.setattr(module, "run_measured", lambda command: (1.0, 2**30))
    with pytest.raises(InputError, match=r"results: no rle\.csv, large_mask\.tiff, .* after inference"):
        peak_memory(tmp_path, overrides, size=300, drawn_size=300)


def test_targets_stand_beside_ratios():
    times = {"ours": [1.0, 2.0, 3.0], "full": [4.0, 2.0, 9.0], "shrunk": [1.0, 1.0, 1.5]}
    full, full_dice, shrunk, _ = module._inference_rows(
        SlideTimes("s", (7, 9), times, {"ours": 0.9, "full": 0.25, "shrunk": 0.875}), 8
    )
    assert full == module.Row("s, 7 x 9: time, full resolution", "2.00 s", "4.00 s", "3.0 x faster", ">= 2 x", "yes")
    assert full_dice == module.Row("s, 7 x 9: Dice, full resolution", "0.9000", "0.2500", "+0.6500")
    assert shrunk == module.Row("s, 7 x 9: time, 1/8 as ours", "2.00 s", "1.00 s", "0.5 x faster")


def test_run_lengths_are_compared_with_every_loop():
    rows = compare_run_lengths("m", many_short_runs((40, 30)), rounds=1)
    assert [row.what.split(": ")[1] for row in rows] == [
        "decode, loop",
        "decode, loop without making it row-major",
        "encode, groupby",
        "encode, search",
    ]
    assert [row.target for row in rows] == [">= 10 x", "", ">= 10 x", ""]


@pytest.mark.parametrize("name", ["decode_rle", "decode_by_loop", "encode_by_groupby", "encode_by_search"])
def test_codecs_that_differ_stop_the_benchmark(monkeypatch, name):
    wrong = (lambda *args, **options: np.zeros((4, 5), bool)) if "decode" in name else (lambda mask: "0 0")
    monkeypatch.setattr(module, name, wrong)
    with pytest.raises(RuntimeError, match="m: .* does not give back what went in"):
        compare_run_lengths("m", np.eye(4, 5, dtype=bool))


def test_many_short_runs_are_many_and_short():
    mask = many_short_runs((200, 300))
    text = module.encode_rle(mask).split()
    assert len(text) // 2 > 0.9 * np.count_nonzero(mask) > 0.9 * 0.045 * mask.size
