"""The sample is a small BIDS dataset that the converter takes without a word."""

import io
import json
import shlex

import numpy as np
from PIL import Image
from scipy import ndimage

from tools.__main__ import VERBS
from tools.command_line import run
from tools.sample.myelin import draw_files
from tools.sample.nerve import draw_nerve


def test_seed_decides_every_byte():
    first, again, other = (dict(draw_files(seed=seed, num_subjects=1, size=64)) for seed in (0, 0, 1))
    assert first == again
    assert list(first) == list(other)
    images = [name for name in first if name.endswith("_TEM.png")]
    assert images == ["sub-01/micr/sub-01_sample-1_TEM.png", "sub-01/micr/sub-01_sample-2_TEM.png"]
    assert all(first[name] != other[name] for name in images)
    assert first[images[0]] != first[images[1]]


def test_masks_agree_and_the_sidecar_tells_the_size_of_a_pixel():
    files = dict(draw_files(num_subjects=1, size=96))
    name = "derivatives/labels/sub-01/micr/sub-01_sample-1_TEM_seg-{}-manual.png"
    axon, myelin, both = (
        np.asarray(Image.open(io.BytesIO(files[name.format(kind)]))) for kind in ("axon", "myelin", "axonmyelin")
    )
    assert np.array_equal(both == 255, axon == 255)
    assert np.array_equal(both == 127, myelin == 255)
    assert set(np.unique(both)) == {0, 127, 255}
    assert json.loads(files["sub-01/micr/sub-01_TEM.json"])["PixelSizeUnits"] == "um"


def test_sheaths_are_dark_around_textured_axons_and_fibres_touch():
    image, labels, axon = draw_nerve(np.random.default_rng(0), 256)
    assert (image.shape, image.dtype) == ((256, 256), np.uint8)
    sheath = ndimage.binary_erosion((labels > 0) & ~axon)
    inside = ndimage.binary_erosion(axon, iterations=2)
    assert image[sheath].mean() + 60 < min(image[inside].mean(), image[labels == 0].mean())
    assert image[inside].std() > 10
    assert len(np.unique(labels)) - 1 > ndimage.label(labels > 0)[1] + 3
    assert all((axon & (labels == label)).any() for label in np.unique(labels[sheath]) if (labels == label).sum() > 600)


def test_printed_command_converts_it_without_a_warning(tmp_path, capsys):
    source = tmp_path / "my nerves"
    options = ["--num_subjects", "2", "--size", "96"]
    assert run(VERBS, ["sample", "sam_myelin", str(source), *options]) == 0
    words = shlex.split(capsys.readouterr().out.split("next", 1)[1])
    assert words[:3] == ["python", "-m", "tools"]
    assert run(VERBS, words[3:]) == 0
    assert "WARNING" not in capsys.readouterr().err
    datalist = json.loads((tmp_path / "my nerves_dataset/dataset.json").read_text())
    assert [item["subject"] for item in datalist["training"]] == ["sub-01"] * 2
    assert [item["subject"] for item in datalist["testing"]] == ["sub-02"] * 2
    assert datalist["licence"] == "CC0-1.0"
