"""The verb ``segment``: with a stand-in for the network, and once with a real one."""

import errno
import gc
import json
import shutil
import struct
import zlib

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from common.errors import InputError
from common.reading.tiff import read_spacing
from tests.tables import read_records
from tests.tools.formats.raw_files import WRITERS, drawn
from tests.tools.serve.conftest import THRESHOLD, noise
from tools.bundles import find_bundle
from tools.command_line import run
from tools.convert.nifti import write_volume
from tools.formats.scenes import Pick
from tools.sample.formats import sample_images
from tools.segment.blocks.plan import Cutting, plan_blocks
from tools.segment.commands import segment
from tools.segment.description import describe
from tools.segment.inputs import prepare_image
from tools.segment.results import Result, read_mask
from tools.segment.sources import find_sources

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
        (output / "all.csv").write_text(f"id,size\nwhatever,{image.stat().st_size}\n")
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
    assert len(list((tmp_path / "out").iterdir())) == len(ODD_NAMES) + 2
    rows = read_records(tmp_path / "out" / "all.csv")
    assert {row["id"]: int(row["size"]) for row in rows} == {
        path.stem: path.stat().st_size for path in images.glob("*.tif")
    }


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


def test_what_keeps_a_network_from_loading_is_said_once(stand_in, images, tmp_path, monkeypatch, capsys):
    def refused(self, bundle):
        raise InputError("model.pt: weights of another network")

    monkeypatch.setattr(StandIn, "__init__", refused)
    assert run(VERBS, ["segment", "swinunet_livecell", str(images), str(tmp_path / "out")]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if "another network" in line]
    assert errors == ["error: model.pt: weights of another network"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("blocks", [[], ["--blocks", "64,64"]])
def test_a_first_run_that_segments_nothing_leaves_nothing(stand_in, tmp_path, blocks):
    (tmp_path / "a.tif").write_bytes(b"no image")
    command = ["segment", "swinunet_livecell", str(tmp_path / "a.tif")]
    assert run(VERBS, [*command, str(tmp_path / "new" / "out"), *blocks]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
    (tmp_path / "mine").mkdir()
    assert run(VERBS, [*command, str(tmp_path / "mine"), *blocks]) == 1
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_bug_ends_the_call_as_itself(stand_in, images, tmp_path, monkeypatch):
    monkeypatch.setattr(StandIn, "segment", lambda *arguments, **options: {}["no key"])
    with pytest.raises(KeyError, match="no key"):
        run(VERBS, ["segment", "swinunet_livecell", str(images), str(tmp_path / "out")])


def test_a_call_that_ends_with_an_error_leaves_nothing_frozen(stand_in, images, tmp_path, monkeypatch):
    monkeypatch.setattr(StandIn, "__init__", lambda *_: (_ for _ in ()).throw(InputError("no network")))
    with pytest.raises(InputError, match="no network"):
        segment("swinunet_livecell", str(images), str(tmp_path / "out"))
    assert gc.get_freeze_count() == 0, "what is frozen at the end is reported as leaked, in some 25 lines"


def test_picture_that_says_it_is_immense_is_left_to_be_told_when_it_is_segmented(tmp_path):
    header = struct.pack(">4sII5B", b"IHDR", 2**31 - 1, 2**31 - 1, 8, 0, 0, 0, 0)
    path = tmp_path / "huge.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)))
    bundle = describe("swinunet_livecell")
    (source,), _ = find_sources([path], bundle, Pick("", "", ""))
    assert plan_blocks(bundle, source, tmp_path / "out", {}, Cutting((), 1e9)) is None


def test_results_of_other_settings_are_not_mixed(stand_in, images, tmp_path):
    segment("swinunet_livecell", str(images), str(tmp_path / "out"))
    with pytest.raises(InputError, match="with other settings .threshold: not given, now 0.3.; choose another"):
        segment("swinunet_livecell", str(images), str(tmp_path / "out"), threshold=0.3)


def test_results_of_another_channel_are_not_taken_for_those_of_this_one(stand_in, tmp_path):
    WRITERS["a.czi"](tmp_path / "a.czi", drawn(channels=2))
    call = ("swinunet_livecell", str(tmp_path / "a.czi"), str(tmp_path / "out"))
    segment(*call, channel="DAPI")
    with pytest.raises(InputError, match="made with other settings .*DAPI.*GFP.* choose another folder"):
        segment(*call, channel="GFP")
    assert segment(*call, channel="DAPI")["done before"] == 1


def test_results_of_another_image_of_the_same_name_are_not_taken_for_those_of_this_one(stand_in, images, tmp_path):
    first, second, out = images / "a b.tif", tmp_path / "plate 2" / "a b.tif", str(tmp_path / "out")
    second.parent.mkdir()
    shutil.copy(first, second)
    segment("swinunet_livecell", str(first), out)
    with pytest.raises(InputError, match="plate 2/a b.tif: .* holds results of .*a b.tif under this name"):
        segment("swinunet_livecell", str(second), out)
    assert segment("swinunet_livecell", str(images), out)["done before"] == 1  # the folder that it is in
    for path in images.iterdir():
        shutil.move(path, tmp_path / "plate 2" / path.name)
    assert segment("swinunet_livecell", str(second), out)["done before"] == 1  # moved since


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


def make_twins(folder):
    tifffile.imwrite(folder / "a.tif", noise(0))
    tifffile.imwrite(folder / "a.tiff", noise(1))


@pytest.mark.parametrize(
    ("make", "source", "options", "message"),
    [
        (lambda folder: None, "none.tif", {}, "none.tif: no such file or folder; give a file, a folder"),
        (lambda folder: None, "*.tif", {}, "no image there; give a file, a folder"),
        (lambda folder: None, "", {}, "no image there"),
        (make_twins, "", {}, "same name as those of"),
        (make_twins, "..", {}, "no image right inside it, but in .*images; give that"),
        (make_twins, "a.tif", {"spacing": "1,2"}, "takes square pixels; give one number"),
        (make_twins, "a.tif", {"backend": "tensorrt"}, "choose one of auto, torch, onnx"),
        (make_twins, "none.tif", {"chanel": "0"}, "unknown override --chanel; did you mean --channel"),
        (make_twins, "none.tif", {"threshold": "abc"}, "--threshold abc: expected a number between 0 and 1"),
        (make_twins, "none.tif", {"save_instances": "maybe"}, "--save_instances maybe: expected True or False"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_written(tmp_path, make, source, options, message):
    folder = tmp_path / "images"
    folder.mkdir()
    make(folder)
    with pytest.raises(InputError, match=message):
        segment("swinunet_livecell", str(folder / source), str(tmp_path / "out"), **options)
    assert not (tmp_path / "out").exists()


def test_setting_of_the_exported_network_is_known(images, tmp_path):
    (tmp_path / "a.onnx").touch()
    with pytest.raises(InputError, match="--blocks x: expected the size of a block"):
        segment(
            *("swinunet_livecell", str(images), tmp_path / "out"),
            **{"backend": "onnx", "onnx_path": str(tmp_path / "a.onnx"), "blocks": "x"},
        )


def test_links_in_a_circle_and_folders_that_are_called_as_images_are(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.tif").symlink_to("a.tif")
    (tmp_path / "images" / "b.zarr").symlink_to(".")
    with pytest.raises(InputError, match="a.tif: a link to a.tif, which is not there"):
        segment("swinunet_livecell", str(tmp_path / "images"), str(tmp_path / "out"))


def test_mistyped_name_of_two_bundles_is_told_the_closest(images, tmp_path):
    with pytest.raises(InputError, match=r"nucley: neither .*did you mean nuclei\? There are crypt_unet, .*nuclei"):
        segment("nucley", str(images), str(tmp_path / "out"))


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


@pytest.mark.slow
def test_files_of_an_image_are_found_beside_it(tmp_path):
    folder = tmp_path / "50% @x $y #1"
    folder.mkdir()
    (image, *_) = sample_images(find_bundle("sam_myelin"), tmp_path / "images")
    image = image.rename(folder / image.name)
    with pytest.raises(InputError, match=rf"no {image.stem}_prompts.tsv in .*#1; put it there"):
        segment("sam_myelin", str(image), str(tmp_path / "out"), prompt_source="prompts")
    columns = ("id", "x", "y", "x_min", "y_min", "x_max", "y_max")
    rows = [columns, ("7", "n/a", "n/a", "5", "5", "60", "60")]
    (folder / f"{image.stem}_prompts.tsv").write_text("\n".join(map("\t".join, rows)) + "\n")
    asked = ["segment", "sam_myelin", str(image), str(tmp_path / "out"), "--prompt_source"]
    assert run(VERBS, [*asked, "prompts", "--min_fit", "1"]) == 0
    fibres, _ = read_mask(tmp_path / "out" / f"{image.stem}_fibres.png")
    assert fibres.max() == 7
    axons = np.zeros(fibres.shape, np.uint8)
    axons[20:40, 20:40] = 255
    Image.fromarray(axons).save(folder / f"{image.stem}_axon.png")
    asked[3] = str(tmp_path / "axons")
    assert run(VERBS, [*asked, "axons"]) == 0
    classes = read_mask(tmp_path / "axons" / f"{image.stem}_axonmyelin.png")[0]
    np.testing.assert_array_equal(classes == 255, axons == 255)


RAW_2D = ["a.czi", "a.zarr", "a.oif"]  # a file, a folder, a file and a folder; see tests/tools/formats for the others


@pytest.mark.parametrize("name", RAW_2D)
def test_each_frame_of_a_microscopes_file_has_its_results(stand_in, tmp_path, name):
    pixels = drawn(times=2, channels=2)
    WRITERS[name](tmp_path / name, pixels)
    done = segment("swinunet_livecell", str(tmp_path / name), str(tmp_path / "out"), channel="GFP")
    assert done["images"] == 2 and stand_in.loaded == 1
    for time in (0, 1):
        mask, _ = read_mask(tmp_path / "out" / f"a_t00{time}_mask.png")
        np.testing.assert_array_equal(mask, (pixels[0, time, 1, 0] > THRESHOLD) * 255)
    again = segment("swinunet_livecell", str(tmp_path / name), str(tmp_path / "out"), channel="GFP")
    assert again["done before"] == 2 and stand_in.loaded == 1


@pytest.mark.parametrize("name", RAW_2D)
def test_volume_of_a_microscopes_file_keeps_its_spacing(stand_in, tmp_path, name):
    pixels = drawn(times=2, channels=2, depth=3)
    WRITERS[name](tmp_path / name, pixels)
    segment("devonet_nsn", str(tmp_path / name), str(tmp_path / "out"), channel="0", time="1")
    mask, spacing = read_mask(tmp_path / "out" / "a_t001_mask.nii.gz")
    np.testing.assert_array_equal(mask, pixels[0, 1, 0] > THRESHOLD)
    assert spacing == pytest.approx((2.0, 0.5, 0.5))
    assert len(list((tmp_path / "out").glob("*_mask.nii.gz"))) == 1


@pytest.mark.parametrize(
    ("bundle", "sizes", "options", "message"),
    [
        ("swinunet_livecell", {"channels": 2}, {}, "2 channels, expected one: 0 DAPI, 1 GFP; give its --channel"),
        ("swinunet_livecell", {"channels": 2}, {"channel": "RFP"}, "no channel 'RFP'; there are 0 DAPI, 1 GFP"),
        ("swinunet_livecell", {"scenes": 2}, {"scene": "P7"}, "no scene 'P7'; there are 0 P0, 1 P1"),
        ("swinunet_livecell", {"times": 2}, {"time": "2"}, "no time '2'; there are 0, 1"),
    ],
)
def test_what_is_not_in_a_file_is_refused_before_anything_is_written(tmp_path, bundle, sizes, options, message):
    WRITERS["a.ome.tif"](tmp_path / "a.ome.tif", drawn(**sizes))
    with pytest.raises(InputError, match=f"a.ome.tif: {message}"):
        segment(bundle, str(tmp_path / "a.ome.tif"), str(tmp_path / "out"), **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("bundle", "sizes", "message"),
    [
        ("swinunet_livecell", {"depth": 3}, "3 slices, but swinunet_livecell takes 2D images"),
        ("devonet_nsn", {}, r"one picture \(YX\), but devonet_nsn takes gray volumes"),
    ],
)
def test_other_number_of_axes_is_refused(stand_in, tmp_path, bundle, sizes, message):
    WRITERS["a.czi"](tmp_path / "a.czi", drawn(**sizes))
    with pytest.raises(InputError, match=f"a.czi: {message}"):
        segment(bundle, str(tmp_path / "a.czi"), str(tmp_path / "out"))
    assert not stand_in.loaded


def test_size_that_a_volume_needs_and_nobody_told_is_refused_and_may_be_given(stand_in, tmp_path):
    WRITERS["a.czi"](tmp_path / "a.czi", drawn(depth=3), spacing=None)
    with pytest.raises(InputError, match=r"a.czi: gives no voxel size; give the spacing"):
        segment("devonet_nsn", str(tmp_path / "a.czi"), str(tmp_path / "out"))
    tifffile.imwrite(tmp_path / "a.tif", noise(0, (3, 5, 6)), photometric="minisblack")
    write_volume(tmp_path / "a.nii.gz", noise(0, (3, 5, 6)), (3000.0, 1.0, 1.0))
    Image.fromarray(noise(0)).save(tmp_path / "a.png")
    for name, message in (
        ("a.tif", "gives no voxel size"),
        ("a.nii.gz", "gives a voxel size of 3000 x 1 x 1 um"),
        ("a.png", "one PNG picture"),
    ):
        with pytest.raises(InputError, match=f"{name}: {message}"):
            segment("devonet_nsn", str(tmp_path / name), str(tmp_path / "out"))
    assert not stand_in.loaded
    segment("devonet_nsn", str(tmp_path / "a.czi"), str(tmp_path / "out"), spacing="3,1,1")  # nothing is there yet
    assert read_mask(tmp_path / "out" / "a_mask.nii.gz")[1] == pytest.approx((3, 1, 1))


def test_objects_are_counted_in_the_tables_of_them(stand_in, images, tmp_path):
    out = tmp_path / "out"
    assert "objects" not in segment("swinunet_livecell", str(images), str(out))
    for number, name in enumerate(ODD_NAMES):
        stem = name.removesuffix(".tif")
        (out / f"{stem}_cells.csv").write_text("id\n" + "1\n" * number)
        for other in ("markers.csv", "markers.png", "labels.csv"):  # neither beside markers, nor as --save adds it
            (out / f"{stem}_{other}").write_text("id\n" + "1\n" * 9)
    again = segment("swinunet_livecell", str(images), str(out))
    assert (again["objects"], again["objects per image"]) == (10, "0 to 4")
    assert len(again["without any"].split(", ")) == 1, "by its name"


def test_own_results_are_no_images(stand_in, images, tmp_path):
    Image.fromarray(noise(0)).save(images / "a b_mask.png")
    tifffile.imwrite(images / "alone_mask.tif", noise(0))
    segment("swinunet_livecell", str(images), str(images / "out"))
    again = segment("swinunet_livecell", str(images), str(images / "out"))
    assert (again["images"], again["done before"]) == (0, len(ODD_NAMES) + 1)
    with pytest.raises(InputError, match="no image there"):
        segment("swinunet_livecell", str(images / "out"), str(tmp_path / "other"))


def test_link_whose_file_is_elsewhere_says_how_to_get_it(stand_in, images, tmp_path):
    (images / "z.tif").symlink_to(".git/annex/objects/z.tif")
    with pytest.raises(InputError, match=r"z.tif: a link to .git/annex/objects/z.tif, .*datalad get .*1 of 6 images"):
        segment("swinunet_livecell", str(images), str(tmp_path / "out"))
    assert len(list((tmp_path / "out").glob("*_mask.png"))) == len(ODD_NAMES)
    with pytest.raises(InputError, match=r"z.tif: a link to .*datalad get"):
        segment("swinunet_livecell", str(images / "z.tif"), str(tmp_path / "out"))


def test_objects_are_saved_in_other_formats_too(stand_in, tmp_path):
    pixels = drawn(times=2)
    WRITERS["a.czi"](tmp_path / "a.czi", pixels)
    call = ("swinunet_livecell", str(tmp_path / "a.czi"), str(tmp_path / "out"))
    segment(*call)
    assert segment(*call, save="csv,ome-tiff,ctc")["images"] == 0, "what is there is not segmented again"
    names = {path.name for path in (tmp_path / "out").iterdir() if "labels" in path.name}
    assert names == {f"a_t00{time}_labels{ending}" for time in (0, 1) for ending in (".csv", ".ome.tif")}
    assert {path.name for path in (tmp_path / "out" / "01_RES").iterdir()} == {
        *("mask000.tif", "mask001.tif", "res_track.txt"),
    }
    assert (tmp_path / "out" / "a_t000_labels.csv").read_text().startswith("id,y_um,x_um,area_um2")
    labels = tifffile.imread(tmp_path / "out" / "a_t001_labels.ome.tif")
    np.testing.assert_array_equal(labels > 0, pixels[0, 1, 0, 0] > THRESHOLD)
    (tmp_path / "out" / "a_t001_mask.png").unlink()
    assert segment(*call, save="coco")["images"] == 1
    assert (tmp_path / "out" / "a_t001_labels.coco.json").is_file()


def test_volume_is_saved_with_its_spacing(stand_in, tmp_path):
    WRITERS["a.czi"](tmp_path / "a.czi", drawn(depth=3))
    segment("devonet_nsn", str(tmp_path / "a.czi"), str(tmp_path / "out"), save="ome-tiff")
    assert read_spacing(tmp_path / "out" / "a_labels.ome.tif") == pytest.approx((2.0, 0.5, 0.5))


@pytest.mark.parametrize(
    ("save", "message"), [("tiff", "no such format"), ("ctc", "ends in no number"), ("csv,svg", "--save svg")]
)
def test_format_that_cannot_be_saved_is_refused_before_anything_is_written(images, tmp_path, save, message):
    with pytest.raises(InputError, match=message):
        segment("swinunet_livecell", str(images), str(tmp_path / "out"), save=save)
    assert not (tmp_path / "out").exists()


def test_folder_that_cannot_be_written_is_told_before_a_network_is_loaded(stand_in, images, tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    assert run(VERBS, ["segment", "swinunet_livecell", str(images), str(tmp_path / "file" / "out")]) == 1
    (error,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert f"{tmp_path / 'file' / 'out'}: cannot write there" in error and stand_in.loaded == 0


def test_a_bundle_with_another_option_for_the_size_of_a_pixel_says_so(tmp_path):
    make_twins(tmp_path)
    with pytest.raises(InputError, match="--spacing 1: crypt_unet takes the side of a pixel as --pixel_size_um"):
        segment("crypt_unet", str(tmp_path / "a.tif"), str(tmp_path / "out"), spacing="1")


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["results", "network", "formats"])
def test_disk_that_is_full_is_one_line_and_leaves_nothing_half(stand_in, images, tmp_path, monkeypatch, capsys, where):
    command = ["segment", "swinunet_livecell", str(images), str(tmp_path / "out"), "--save", "csv"]
    if where == "results":
        for writer in ("shutil.copyfile", "adopt_row"):
            monkeypatch.setattr(f"tools.segment.files.{writer}", full)
    elif where == "network":
        monkeypatch.setattr(StandIn, "segment", full)
    else:
        monkeypatch.setattr("tools.formats.object_table.write_table", full)
    assert run(VERBS, command) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and "No space left on device" in error
    assert {path.name.split("_")[-1] for path in (tmp_path / "out").glob("*")} <= {"segment.json", "labels.csv"}


@pytest.mark.parametrize(
    "name", ["run#3", "plates,1", "1e3", "2024_01_31", "@home", "%data", "$lab", "~x", "a b", "Zellen ä", "[1]"]
)
def test_folders_of_any_name(stand_in, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    tifffile.imwrite(tmp_path / name / "a.tif", noise(0), photometric="minisblack")
    out = f"{name}+{name}"
    assert run(VERBS, ["segment", "swinunet_livecell", name, out]) == 0
    assert (tmp_path / out / "a_mask.png").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, out])


def test_help_of_a_bundle_lists_its_settings_as_its_config_has_them(capsys):
    assert run(VERBS, ["segment", "devonet_ndn", "--help"]) == 0
    settings = capsys.readouterr().out.partition("Settings of devonet_ndn")[2]
    default = json.loads((find_bundle("devonet_ndn") / "configs/inference.json").read_text())["threshold"]
    assert f"--threshold : {default}\n    a voxel belongs to a marker from this probability on\n" in settings
    assert "--max_epochs" not in settings, "of the training"
    assert "--spacing :" not in settings, "an option of segment, which means the voxels of the file"
    for named in (["--bundle", "devonet_ndn"], ["--bundle=devonet_ndn"]):
        assert run(VERBS, ["segment", *named, "--help"]) == 0
        assert capsys.readouterr().out.partition("Settings of devonet_ndn")[2] == settings
    assert run(VERBS, ["segment", "nuclei", "--help"]) == 0
    settings = capsys.readouterr().out
    assert "--min_nucleus_volume : 200.0" in settings, "that the one of two bundles has which separates"
    assert "--foreground_dir" not in settings, "which is chosen for every image"


def test_where_an_image_lies_is_no_setting(capsys, tmp_path):
    assert run(VERBS, ["segment", "nuclei", str(tmp_path), str(tmp_path / "out"), "--foreground_dir", "x"]) == 1
    assert "--foreground_dir x: chosen for every image by what segments it; leave it out" in capsys.readouterr().err


def test_help_of_an_unknown_bundle_names_the_known_ones(capsys):
    assert run(VERBS, ["segment", "devonet_ndm", "--help"]) == 1
    assert "did you mean devonet_ndn?" in capsys.readouterr().err
