"""The verb ``segment``: with a stand-in for the network, and once with a real one."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from common.errors import InputError
from tests.tools.serve.conftest import THRESHOLD, noise
from tools.bundles import find_bundle
from tools.command_line import run
from tools.convert.nifti import write_volume
from tools.sample.formats import sample_images
from tools.segment.commands import segment
from tools.segment.inputs import prepare_image
from tools.segment.results import Result, read_mask

VERBS = {"segment": ("tools.segment.commands:segment", "")}
ODD_NAMES = ["a b.tif", "2024_01.tif", "a#1.tif", "50% @x $y ~z.tif", "Zellen ä, b.tif"]


class StandIn:
    """Where an image is bright, and a table, instead of `LoadedBundle`."""

    loaded = 0

    def __init__(self, bundle):
        type(self).loaded += 1
        self.bundle = bundle

    def segment(self, image, folder, options=None, *, overrides=None, name="", stem=""):
        prepared = prepare_image(image, self.bundle, folder / "images", options or {}, stem)
        output = folder / "results"
        if self.bundle.num_axes == 3:
            volume = nib.load(prepared)
            mask = output / f"{stem}_mask.nii.gz"
            nib.save(nib.Nifti1Image((np.asarray(volume.dataobj) > THRESHOLD).astype(np.uint8), volume.affine), mask)
        else:
            mask = output / f"{stem}_mask.png"
            Image.fromarray((tifffile.imread(prepared) > THRESHOLD) * np.uint8(255)).save(mask)
        (output / "all.csv").write_text("id\n")
        return Result(prepared, mask, (output / "all.csv", mask), 0.0, stem)


@pytest.fixture
def stand_in(monkeypatch):
    module = pytest.importorskip("tools.segment.loaded")
    monkeypatch.setattr(module, "LoadedBundle", StandIn)
    monkeypatch.setattr(StandIn, "loaded", 0)
    return StandIn


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number, name in enumerate(ODD_NAMES):
        tifffile.imwrite(folder / name, noise(number), photometric="minisblack")
    (folder / "notes.txt").write_text("no image")
    return folder


def test_every_image_of_a_folder_has_its_results_under_its_name(stand_in, images, tmp_path):
    done = segment("swinunet_livecell", str(images), str(tmp_path / "out"))
    assert done["images"] == len(ODD_NAMES) and stand_in.loaded == 1
    for number, name in enumerate(ODD_NAMES):
        stem = name.removesuffix(".tif")
        mask, _ = read_mask(tmp_path / "out" / f"{stem}_mask.png")
        np.testing.assert_array_equal(mask, (noise(number) > THRESHOLD) * 255)
        assert (tmp_path / "out" / f"{stem}_all.csv").is_file()
    assert len(list((tmp_path / "out").iterdir())) == 2 * len(ODD_NAMES) + 1


def test_a_second_call_does_only_what_is_missing(stand_in, images, tmp_path):
    segment("swinunet_livecell", str(images), str(tmp_path / "out"))
    (tmp_path / "out" / "a b_mask.png").unlink()
    again = segment("swinunet_livecell", str(images), str(tmp_path / "out"))
    assert (again["images"], again["done before"]) == (1, len(ODD_NAMES) - 1)
    segment("swinunet_livecell", str(images), str(tmp_path / "out"))
    assert stand_in.loaded == 2, "a network is loaded where nothing is left to do"


def test_interrupted_call_leaves_nothing_half_written(stand_in, images, tmp_path, monkeypatch):
    seen = []

    def stopped(self, image, folder, *args, **kwargs):
        seen.append(folder)
        if len(seen) == 2:
            (folder / "results" / "half_mask.png").write_bytes(b"half")
            raise KeyboardInterrupt
        return original(self, image, folder, *args, **kwargs)

    original = StandIn.segment
    monkeypatch.setattr(StandIn, "segment", stopped)
    assert run(VERBS, ["segment", "swinunet_livecell", str(images), str(tmp_path / "out")]) == 130
    assert sorted(path.name.split("_")[-1] for path in (tmp_path / "out").iterdir()) == [
        "all.csv",
        "mask.png",
        "segment.json",
    ]
    assert not any(folder.exists() for folder in seen)
    monkeypatch.setattr(StandIn, "segment", original)
    assert segment("swinunet_livecell", str(images), str(tmp_path / "out"))["done before"] == 1


def test_one_bad_file_does_not_keep_the_others_from_their_results(stand_in, images, tmp_path, capsys):
    (images / "a b.tif").write_bytes(b"no image")
    assert run(VERBS, ["segment", "swinunet_livecell", str(images), str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and f"{images / 'a b.tif'}: not an image" in error and "1 of 5 images" in error
    assert len(list((tmp_path / "out").glob("*_mask.png"))) == len(ODD_NAMES) - 1


def test_results_of_other_settings_are_not_mixed(stand_in, images, tmp_path):
    segment("swinunet_livecell", str(images), str(tmp_path / "out"))
    with pytest.raises(InputError, match="holds results of another overrides .* choose another folder"):
        segment("swinunet_livecell", str(images), str(tmp_path / "out"), threshold=0.3)


@pytest.mark.parametrize("pattern", ["a*.tif", "[0-9]*.tif"])
def test_pattern_names_images(stand_in, images, tmp_path, pattern):
    done = segment("swinunet_livecell", str(images / pattern), str(tmp_path / "out"))
    assert done["images"] == len(list(images.glob(pattern))) > 0


def test_dataset_gives_its_testing_images(stand_in, images, tmp_path):
    content = {"training": [{"image": "a b.tif"}], "testing": [{"image": "a#1.tif"}]}
    (images / "dataset.json").write_text(json.dumps(content))
    segment("swinunet_livecell", str(images), str(tmp_path / "out"))
    assert [path.name for path in (tmp_path / "out").glob("*_mask.png")] == ["a#1_mask.png"]


def test_given_spacing_goes_before_that_of_the_file(stand_in, tmp_path):
    write_volume(tmp_path / "a.nii.gz", noise(0, (4, 5, 6)), (2.0, 1.0, 1.0))
    segment("devonet_nsn", str(tmp_path / "a.nii.gz"), str(tmp_path / "own"))
    segment("devonet_nsn", str(tmp_path / "a.nii.gz"), str(tmp_path / "given"), spacing="3.0,0.5,0.25")
    own, given = (read_mask(tmp_path / name / "a_mask.nii.gz") for name in ("own", "given"))
    np.testing.assert_array_equal(own[0], noise(0, (4, 5, 6)) > THRESHOLD)
    np.testing.assert_array_equal(given[0], own[0])
    assert own[1] == pytest.approx((2.0, 1.0, 1.0)) and given[1] == pytest.approx((3.0, 0.5, 0.25))


def test_stack_without_spacing_is_refused_by_name(stand_in, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise(0, (4, 5, 6)), photometric="minisblack")
    with pytest.raises(InputError, match=r"a\.tif: does not tell the size of its voxels"):
        segment("devonet_nsn", str(tmp_path / "a.tif"), str(tmp_path / "out"))


def make_twins(folder):
    tifffile.imwrite(folder / "a.tif", noise(0))
    tifffile.imwrite(folder / "a.tiff", noise(1))


@pytest.mark.parametrize(
    ("make", "source", "options", "message"),
    [
        (lambda folder: None, "none.tif", {}, "no image there; give a file, a folder"),
        (lambda folder: None, "", {}, "no image there"),
        (make_twins, "", {}, "same name as those of"),
        (make_twins, "a.tif", {"spacing": "1"}, "does not go by the size of a pixel"),
        (make_twins, "a.tif", {"backend": "tensorrt"}, "choose one of auto, torch, onnx"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_written(tmp_path, make, source, options, message):
    folder = tmp_path / "images"
    folder.mkdir()
    make(folder)
    with pytest.raises(InputError, match=message):
        segment("swinunet_livecell", str(folder / source), str(tmp_path / "out"), **options)
    assert not (tmp_path / "out").exists()


def test_results_do_not_go_among_the_images(images):
    with pytest.raises(InputError, match="would be taken for images"):
        segment("swinunet_livecell", str(images), str(images))


@pytest.mark.slow
def test_real_network_and_a_mistyped_knob(tmp_path, capsys):
    (image, *_) = sample_images(find_bundle("devonet_ndn"), tmp_path / "images")
    command = ["segment", "devonet_ndn", str(image), str(tmp_path / "out")]
    assert run(VERBS, command) == 0
    assert read_mask(tmp_path / "out" / image.name.replace(".nii.gz", "_markers.nii.gz"))[0].any()
    assert run(VERBS, [*command[:3], str(tmp_path / "other"), "--treshold", "0.3"]) == 1
    assert "did you mean --threshold?" in capsys.readouterr().err.splitlines()[-1]
