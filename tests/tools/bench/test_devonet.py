"""The benchmark of instances: what it refuses, what its table says, and the whole of it on a drawn volume."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from common.errors import InputError
from tools.bench import devonet as module
from tools.bench.devonet import as_table, devonet, score_volumes, segment_from_markers
from tools.convert.nifti import write_volume
from tools.sample.embryo import SPACING_UM

SHAPE = (16, 32, 32)


@pytest.fixture
def weights(tmp_path):
    """Weights of devonet_ndn as they are before any training."""
    root = module.BUNDLES / "devonet_ndn"
    parser = ConfigParser()
    parser.read_config(root / "configs" / "instances.json")
    parser["bundle_root"] = str(root)
    torch.save(parser.get_parsed_content("network_def").state_dict(), tmp_path / "ndn.pt")
    return str(tmp_path / "ndn.pt")


@pytest.fixture
def dataset(tmp_path):
    """Function that writes a dataset of volumes with the given numbers of nuclei; returns its folder."""

    def write(*counts, keys=("image", "label", "markers"), **changes):
        root, items = tmp_path / "dataset", []
        for index, count in enumerate(counts):
            volumes = dict(zip(("image", "label", "markers"), cubes(count), strict=True)) | changes
            items.append({key: f"{key}_{index}.nii.gz" for key in keys})
            root.mkdir(exist_ok=True)
            for key in keys:
                write_volume(root / items[-1][key], volumes[key], SPACING_UM)
        (root / "dataset.json").write_text(json.dumps({"name": "cubes", "testing": items}))
        return root

    return write


@pytest.fixture
def perfect_bundles(monkeypatch):
    """Stands in for both bundles: their results are the truth."""

    def run(bundle, config, dataset_dir, overrides):
        kind = {"devonet_nsn": "mask", "devonet_ndn": "instances"}[bundle]
        for path in dataset_dir.glob("label_*.nii.gz"):
            labels, spacing = module._read(path)
            result = (labels > 0).astype(np.uint8) if kind == "mask" else labels
            target = module.Path(overrides["output_dir"])
            target.mkdir(exist_ok=True)
            write_volume(target / path.name.replace("label", "image").replace(".nii", f"_{kind}.nii"), result, spacing)
        return 1.0

    monkeypatch.setattr(module, "_run_bundle", run)


def cubes(count):
    """Image, labels and markers of bright cubes that do not touch."""
    labels, markers = np.zeros(SHAPE, np.uint16), np.zeros(SHAPE, np.uint16)
    for index, (z, y, x) in enumerate(list(np.ndindex(2, 4, 4))[:count]):
        first = np.array([1 + 8 * z, 1 + 8 * y, 1 + 8 * x])
        labels[tuple(slice(start, start + 5) for start in first)] = index + 1
        markers[tuple(slice(start + 2, start + 3) for start in first)] = 40 - index
    noise = np.random.default_rng(0).integers(90, 110, SHAPE)
    return (noise + 1000 * (labels > 0)).astype(np.uint16), labels, markers


def test_whole_benchmark_on_drawn_volumes(dataset, weights):
    text = devonet(dataset_dir=str(dataset(3, 0)), ckpt_ndn=weights)
    assert text.startswith("data: cubes: n = 2\ndevice: ")
    head = next(line for line in text.splitlines() if line.startswith("SEG"))
    assert head.split()[-5:] == ["nuclei", "devonet", "classical", "true", "markers"]
    everything = next(line for line in text.splitlines() if line.startswith("all")).split()
    assert everything[1:3] == ["2", "3"] and all(0 <= float(value) <= 1 for value in everything[3:])
    seconds = next(line for line in text.splitlines() if line.startswith("seconds per volume")).split()[3:]
    assert float(seconds[0]) > 0


def test_truth_scores_one_with_either_markers(dataset, weights, perfect_bundles):
    lines = devonet(dataset_dir=str(dataset(3, 5, 17, 16)), ckpt_ndn=weights).splitlines()
    rows = {line.split("  ")[0]: line.split()[-5:] for line in lines}
    assert rows["all"][:3] == ["4", "41", "1.0000"] and rows["all"][4] == "1.0000"
    assert [rows[group][:2] for group in ("<= 4", "5-16", "> 16")] == [["1", "3"], ["2", "21"], ["1", "17"]]
    assert lines[-1].startswith("true markers:")


def test_without_markers_their_column_is_left_out(dataset, weights, perfect_bundles):
    text = devonet(dataset_dir=str(dataset(3, keys=("image", "label"))), ckpt_ndn=weights)
    assert "classical" in text and "true markers" not in text


def test_partly_annotated_and_unlabelled_volumes_do_not_count(dataset, weights, perfect_bundles):
    root = dataset(3, 4, 5)
    content = json.loads((root / "dataset.json").read_text())
    content["testing"][0]["annotated_slices"] = [3]
    del content["testing"][1]["label"]
    (root / "dataset.json").write_text(json.dumps(content))
    text = devonet(dataset_dir=str(root), ckpt_ndn=weights)
    assert "data: cubes: n = 1" in text and text.count("  1        5  ") == 2


@pytest.mark.parametrize("order", ["C", "F"])
def test_foreground_is_split_by_markers_in_any_order_in_memory(order):
    foreground, markers = np.zeros((6, 8, 20), bool), np.zeros((6, 8, 20), np.uint16, order=order)
    foreground[1:5, 1:7, 1:19] = True
    foreground[0, 0, 0] = True  # no marker
    markers[3, 3, 4], markers[3, 3, 15], markers[5, 7, 19] = 7, 3, 9  # the last one lies outside
    labels = segment_from_markers(foreground, markers)
    assert labels.dtype == np.int32 and sorted(np.unique(labels)) == [0, 3, 7]
    assert labels[2, 4, 2] == 7 and labels[2, 4, 17] == 3 and labels[0, 0, 0] == 0
    np.testing.assert_array_equal(labels[1:5, 1:7, 1:19] > 0, True)


def test_seg_is_pooled_over_nuclei_within_each_group():
    ious = {"ours": [np.array([1.0, 0.5]), np.zeros(0), np.full(17, 0.25)], "other": [np.zeros(2), [], np.zeros(17)]}
    assert as_table(ious, {"ours": 2, "other": 0.125}).splitlines() == [
        "SEG by nuclei per volume  volumes  nuclei  ours    other",
        "all                       3        19      0.3026  0.0000",
        "<= 4                      2        2       0.7500  0.0000",
        "5-16                      0        0       -       -",
        "> 16                      1        17      0.2500  0.0000",
        "seconds per volume                         2.00    0.12",
    ]


@pytest.mark.parametrize(
    ("label", "match"),
    [
        (np.ones((16, 32, 31), np.uint8), r"label_0\.nii\.gz: reference \(16, 32, 31\) and result \(16, 32, 32\)"),
        (np.full(SHAPE, 0.5, np.float32), r"label_0\.nii\.gz: reference: labels are float32, expected integers"),
    ],
)
def test_labels_that_cannot_be_compared_are_refused(dataset, label, match):
    root = dataset(2, label=label)
    _, labels, _ = cubes(2)
    write_volume(root / "image_0_instances.nii.gz", labels, SPACING_UM)
    with pytest.raises(InputError, match=match):
        score_volumes([{"image": root / "image_0.nii.gz", "label": root / "label_0.nii.gz"}], root)


def test_markers_on_another_grid_are_refused(dataset, weights, perfect_bundles):
    root = dataset(2, markers=np.ones((16, 32, 31), np.uint8))
    with pytest.raises(InputError, match=r"markers_0\.nii\.gz: shape \(16, 32, 31\), expected \(16, 32, 32\)"):
        devonet(dataset_dir=str(root), ckpt_ndn=weights)


def test_truncated_volume_is_refused(dataset, weights, perfect_bundles):
    root = dataset(2)
    whole = (root / "image_0.nii.gz").read_bytes()
    (root / "image_0.nii.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"image_0\.nii\.gz: not a whole NIfTI volume"):
        devonet(dataset_dir=str(root), ckpt_ndn=weights)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"ckpt_nsn": "none.pt"}, r"none\.pt: no such checkpoint; train devonet_nsn first, or give --ckpt_nsn"),
        ({"ckpt_ndn": "none.pt"}, r"none\.pt: no such checkpoint; train devonet_ndn first, or give --ckpt_ndn"),
        ({"dataset_dir": "nowhere"}, r"nowhere/dataset\.json: not a MONAI datalist"),
        ({"ckpt_dnd": "x"}, "unknown flag --ckpt_dnd; did you mean --ckpt_ndn"),
    ],
)
def test_bad_options_are_refused(weights, options, match):
    with pytest.raises(InputError, match=match):
        devonet(**{"ckpt_ndn": weights} | options)


def test_dataset_without_labels_is_refused(dataset, weights):
    root = dataset(2, keys=("image",))
    with pytest.raises(InputError, match=r"dataset\.json: no completely labelled image under testing"):
        devonet(dataset_dir=str(root), ckpt_ndn=weights)
