"""Every bundle has sample images of the kind that it reads, drawn without torch."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from common.errors import InputError
from tools.__main__ import VERBS
from tools.bundles import all_bundles, find_bundle, read_metadata
from tools.command_line import run
from tools.sample.formats import FORMATS, sample_images
from tools.toolbox import read_toolbox

ROOT = Path(__file__).parents[3]


def test_every_bundle_has_samples_and_a_road_that_begins_with_them():
    assert {read_toolbox(bundle).source.format for bundle in all_bundles()} == set(FORMATS)
    assert {f"{verb} {name}" for verb in ("sample", "convert") for name in FORMATS} <= set(VERBS)


def test_volumes_are_small_and_know_their_spacing_in_micrometres(tmp_path):
    paths = sample_images(find_bundle("devonet_nsn"), tmp_path / "new" / "folder")
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
    paths = sample_images(find_bundle(name), tmp_path)
    assert 1 <= len(paths) <= 2 and sorted(paths) == sorted(tmp_path.iterdir())
    for path in paths:
        image = tifffile.imread(path)
        assert path.suffix == suffix and image.dtype == np.uint8 and image.shape[2:] == (3,) * (num_channels == 3)


def test_micrographs_are_gray_png(tmp_path):
    paths = sample_images(find_bundle("sam_myelin"), tmp_path)
    assert 1 <= len(paths) <= 2
    for path in paths:
        with Image.open(path) as image:
            assert image.format == "PNG" and image.mode == "L" and min(image.size) >= 256


def test_unknown_format_is_told_which_there_are(tmp_path):
    metadata = read_metadata(find_bundle("devonet_nsn"))
    metadata["toolbox"]["source"]["format"] = "czi"
    (tmp_path / "odd/configs").mkdir(parents=True)
    (tmp_path / "odd/configs/metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(InputError, match="odd: its source format is 'czi'; there are samples for crypts, ctc"):
        sample_images(tmp_path / "odd", tmp_path)


@pytest.mark.parametrize("words", [["ctc"], ["devonet_ndn"]])
def test_bundle_stands_for_its_format(words, tmp_path, capsys):
    assert run(VERBS, ["sample", *words, str(tmp_path / "a"), "--num_sequences", "1", "--num_frames", "1"]) == 0
    assert "01/t000.tif" in {path.relative_to(tmp_path / "a").as_posix() for path in tmp_path.rglob("*.tif")}
    assert run(VERBS, ["sample", *words, str(tmp_path / "b"), "--num_frame", "1"]) == 1
    assert "unknown flag --num_frame; did you mean --num_frames?" in capsys.readouterr().err


def test_formats_are_listed_and_a_mistyped_bundle_is_told_the_closest(capsys):
    assert run(VERBS, ["sample"]) == 0
    listed = capsys.readouterr().out
    assert all(f"sample {name} " in listed for name in FORMATS) and "convert" not in listed
    assert run(VERBS, ["sample", "devonet_nsm", "x"]) == 1
    assert "did you mean devonet_nsn?" in capsys.readouterr().err


def test_neither_torch_nor_monai_is_imported():
    code = "import sys, tools.sample.formats; sys.exit(bool({'torch', 'monai'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
