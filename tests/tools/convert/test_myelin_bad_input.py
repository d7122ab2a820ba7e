"""Every kind of bad image, mask, sidecar or option ends in one clear message, before the first file is written."""

import numpy as np
import pytest
import tifffile

from common.errors import InputError
from tools.convert.myelin import myelin as convert_myelin

SHAPE = (40, 60)
KINDS = ("axon", "myelin")


@pytest.fixture
def refuses(refusal, convert_nerves):
    """Function that converts and expects an error."""
    return refusal(convert_nerves)


def test_more_fibres_than_16_bits_can_number(put_subject, save_png, refuses):
    stem = put_subject("sub-a")
    axon = np.zeros((1030, 1030), np.uint8)
    for dx in range(3):
        axon[::4, dx::4] = 255
    save_png(f"{stem}.png", axon)
    for kind, mask in (("axon", axon), ("myelin", 255 - axon)):
        save_png(f"derivatives/labels/{stem}_seg-{kind}-manual.png", mask)
    refuses(r"_seg-axon-manual.png: 66\d\d\d axons, expected at most 65535, .*cut the image and its masks into parts")


@pytest.mark.parametrize("kind", ["axon", "myelin", "axonmyelin"])
def test_mask_of_another_shape_names_the_file_before_anything_is_written(
    put_subject, save_png, refuses, kind, draw_mask
):
    put_subject("sub-a")
    stem = put_subject("sub-b", kinds=(*KINDS, "axonmyelin"))
    save_png(f"derivatives/labels/{stem}_seg-{kind}-manual.png", draw_mask(kind)[:, :-1])
    refuses(f"{stem}_seg-{kind}-manual.png: 40 x 59 pixels .height x width., its image 40 x 60; export both alike")


@pytest.mark.parametrize("kind", KINDS)
def test_one_of_two_masks(put_subject, refuses, kind):
    put_subject("sub-a", kinds=(kind,))
    refuses(f"seg-{kind}-manual.png: no {'axon' if kind == 'myelin' else 'myelin'} mask with it")


def test_picture_in_place_of_a_mask(put_subject, save_png, refuses):
    stem = put_subject("sub-a")
    pixels = np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8)
    save_png(f"derivatives/labels/{stem}_seg-axon-manual.png", pixels)
    refuses("seg-axon-manual.png: .* pixels above 0 are gray, expected 0 or 25.; export a mask")


def test_numbered_objects_in_place_of_a_mask(put_subject, save_png, refuses):
    stem = put_subject("sub-a")
    pixels = np.zeros(SHAPE, np.uint8)
    pixels[:4, :4], pixels[6:10, 6:10] = 1, 2
    save_png(f"derivatives/labels/{stem}_seg-axon-manual.png", pixels)
    refuses("seg-axon-manual.png: values up to 2, expected 0 and one other; export a mask, no numbered objects")


@pytest.mark.parametrize("name", ["{}.png", "derivatives/labels/{}_seg-axon-manual.png"])
def test_file_that_is_no_image(tmp_path, put_subject, refuses, name):
    stem = put_subject("sub-a")
    (tmp_path / "source" / name.format(stem)).write_bytes(b"no image")
    refuses(f"{name.format(stem)}: cannot be read .*; it may be damaged, copy or export it again")


@pytest.mark.parametrize(
    ("sidecar", "message"),
    [
        ({"PixelSize": [0.1, 0], "PixelSizeUnits": "um"}, r"sub-a_TEM.json: PixelSize \[0.1, 0\] um, expected two"),
        ({"PixelSize": "0.1", "PixelSizeUnits": "um"}, "sub-a_TEM.json: PixelSize 0.1 um, expected two numbers"),
        ({"PixelSize": [1, 1], "PixelSizeUnits": "inch"}, "PixelSizeUnits of um, mm or nm"),
        ([1], "sub-a_TEM.json: a list, expected fields with names"),
        (b"{", "sub-a_TEM.json: not a readable JSON"),
    ],
)
def test_sidecar_that_makes_no_sense(tmp_path, put_subject, refuses, sidecar, message):
    put_subject("sub-a", sidecar=None if isinstance(sidecar, bytes) else sidecar)
    if isinstance(sidecar, bytes):
        (tmp_path / "source/sub-a/micr/sub-a_TEM.json").write_bytes(sidecar)
    refuses(message)


def test_subject_that_is_not_there(put_subject, refuses):
    put_subject("sub-a")
    refuses("--test sub-x: no such subject; there are sub-a, or all", test=["x"])
    refuses("--test sub-x: no such subject", test=["sub-x"])


def test_folder_without_images(tmp_path, refuses):
    (tmp_path / "source").mkdir()
    refuses("source: no image there, expected sub-")


def test_name_of_another_subject(put_subject, save_png, refuses, draw_mask):
    put_subject("sub-a")
    save_png("sub-a/micr/sub-b_sample-1_TEM.png", draw_mask("axon"))
    refuses("sub-b_sample-1_TEM.png: its name does not begin with sub-a_")


def test_two_files_of_one_name(put_subject, save_png, refuses, draw_mask):
    save_png(f"{put_subject('sub-a')}.tif", draw_mask("axon"))
    refuses("sub-a_sample-1_TEM.tif: its results would have the same name as those of .*sub-a_sample-1_TEM.png")


def test_source_and_datasets_of_others_are_not_written_to(tmp_path, put_subject):
    put_subject("sub-a")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="holds a BIDS dataset of its own; choose an empty folder"):
        convert_myelin(tmp_path / "source", tmp_path / "source")
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "other").mkdir()
    for content in ('{"Name": "raw"}', '{"DatasetType": "derivative", "GeneratedBy": [{"Name": "Manual"}]}'):
        (tmp_path / "other/dataset_description.json").write_text(content)
        with pytest.raises(InputError, match="other: holds a BIDS dataset of its own"):
            convert_myelin(tmp_path / "source", tmp_path / "other")


def test_classes_in_colours_are_refused(put_subject, save_png, refuses):
    stem = put_subject("sub-a", kinds=("axonmyelin",))
    colours = np.zeros((*SHAPE, 3), np.uint8)
    colours[5:20, 5:20, 0], colours[8:15, 8:15] = 255, (0, 0, 255)
    save_png(f"derivatives/labels/{stem}_seg-axonmyelin-manual.png", colours)
    refuses(r"seg-axonmyelin-manual.png: in colour, expected gray: 0 background, 127 myelin and 255 axon")


@pytest.mark.parametrize("ending", [".czi", ".ome.zarr", ".jpg"])
def test_image_in_a_format_that_is_not_converted_is_not_left_out_in_silence(tmp_path, put_subject, refuses, ending):
    put_subject("sub-a")
    place = tmp_path / "source" / "sub-b" / "micr" / f"sub-b_TEM{ending}"
    place.parent.mkdir(parents=True)
    place.mkdir() if ending == ".ome.zarr" else place.write_bytes(b"pixels")
    refuses(f"sub-b_TEM{ending}: expected .png, .tif, .tiff, .btf; export it as PNG or OME-TIFF, or move it away")


def test_channels_of_a_microscope_are_neither_colours_nor_alpha(tmp_path, put_subject, refuses):
    stem = put_subject("sub-a")
    (tmp_path / "source" / f"{stem}.png").unlink()
    place, options = tmp_path / "source" / f"{stem}.tif", {"photometric": "minisblack"}
    for num_channels in (2, 3):
        pixels = np.zeros((*SHAPE, num_channels), np.uint8)
        tifffile.imwrite(place, pixels, planarconfig="contig", metadata=None, **options)
        refuses(rf"TEM.tif: {num_channels} samples per pixel \(MINISBLACK\), which are channels")
        tifffile.imwrite(place, pixels.transpose(2, 0, 1), ome=True, metadata={"axes": "CYX"}, **options)
        refuses(f"TEM.tif: {num_channels} pages, expected one image")


def test_masks_of_axons_and_myelin_that_are_exchanged(put_subject, save_png, refuses, draw_mask):
    stem = put_subject("sub-a")
    for kind, other in (KINDS, KINDS[::-1]):
        save_png(f"derivatives/labels/{stem}_seg-{kind}-manual.png", draw_mask(other))
    refuses("seg-axon-manual.png: its axons lie around the myelin, expected them inside; exchange the two")
