"""Every bundle has sample images of the kind that it reads, drawn without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from common.errors import InputError
from tools.serve.samples import SAMPLES, sample_images

ROOT = Path(__file__).parents[3]
VOLUMES = ("devonet_ndn", "devonet_nsn", "maskrcnn_2p5d")


def test_every_bundle_has_samples():
    assert sorted(SAMPLES) == sorted(path.parents[1].name for path in ROOT.glob("bundles/*/configs/metadata.json"))


@pytest.mark.parametrize("name", VOLUMES)
def test_volumes_are_small_and_know_their_spacing_in_micrometres(name, tmp_path):
    paths = sample_images(name, tmp_path / "new" / "folder")
    assert 1 <= len(paths) <= 2
    for path in paths:
        image = nib.load(path)
        assert path.name.endswith(".nii.gz") and image.header.get_xyzt_units()[0] == "micron"
        assert image.header.get_zooms() == pytest.approx((0.8, 0.8, 2.0))
        assert np.prod(image.shape) <= 24 * 96 * 96 and np.ptp(np.asarray(image.dataobj)) > 0


@pytest.mark.parametrize(
    ("name", "suffix", "num_channels"), [("crypt_unet", ".tiff", 3), ("swinunet_livecell", ".tif", 1)]
)
def test_tiff_images(name, suffix, num_channels, tmp_path):
    paths = sample_images(name, tmp_path)
    assert 1 <= len(paths) <= 2 and sorted(paths) == sorted(tmp_path.iterdir())
    for path in paths:
        image = tifffile.imread(path)
        assert path.suffix == suffix and image.dtype == np.uint8 and image.shape[2:] == (3,) * (num_channels == 3)


def test_micrographs_are_gray_png(tmp_path):
    paths = sample_images("sam_myelin", tmp_path)
    assert 1 <= len(paths) <= 2
    for path in paths:
        with Image.open(path) as image:
            assert image.format == "PNG" and image.mode == "L" and min(image.size) >= 256


def test_the_same_every_time(tmp_path):
    first, second = sample_images("sam_myelin", tmp_path / "a"), sample_images("sam_myelin", tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_another_bundle_is_told_which_there_are(tmp_path):
    with pytest.raises(InputError, match="nuclei3d: no sample images for it; there are for crypt_unet"):
        sample_images("nuclei3d", tmp_path)


def test_neither_torch_nor_monai_is_imported():
    code = "import sys, tools.serve.samples; sys.exit(bool({'torch', 'monai'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
