"""Micrographs, label maps and masks lie as they do on disk, and what is none is refused with a reason."""

import json
import math

import numpy as np
import pytest
import tifffile
import torch
from monai.data import DataLoader, Dataset, decollate_batch
from sam_myelin.common.errors import InputError
from sam_myelin.common.reading.picture_transforms import ReadLabelsd
from sam_myelin.common.reading.pictures import luminance
from sam_myelin.normalisation import to_rgb
from sam_myelin.reading import ReadMicrographd, check_images, read_mask, read_micrograph

RAMP = np.arange(5 * 9).reshape(5, 9)
GRAY = RAMP.astype(np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_equal_channels_are_gray_and_others_are_colours(write_image, name):
    np.testing.assert_array_equal(read_micrograph(write_image(name, np.stack([GRAY] * 3, axis=-1))), GRAY)
    colours = np.stack([GRAY, GRAY, GRAY + 1], axis=-1)
    np.testing.assert_array_equal(read_micrograph(write_image(name, colours)), colours)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize(("opacity", "told"), [(255, "left out"), (9, "left out (45 pixels were see-through)")])
def test_alpha_is_left_out_and_that_is_said(write_image, caplog, name, opacity, told):
    pixels = np.stack([GRAY] * 3 + [np.full_like(GRAY, opacity)], axis=-1)
    np.testing.assert_array_equal(read_micrograph(write_image(name, pixels)), GRAY)
    assert caplog.messages[-1].endswith(f"{name}: alpha channel {told}")


def test_gray_with_alpha(write_image):
    np.testing.assert_array_equal(read_micrograph(write_image("a.png", np.stack([GRAY, GRAY], axis=-1))), GRAY)


@pytest.mark.parametrize(
    ("name", "pixels", "options", "message"),
    [
        ("a.png", RAMP > 9, {}, "type bool, expected 8 or 16 bit"),
        ("a.tif", RAMP.astype(np.float32), {}, "type float32, expected 8 or 16 bit"),
        ("a.tif", np.full((5, 9), np.nan, np.float32), {}, "type float32, expected 8 or 16 bit"),
        ("a.tif", np.stack([GRAY] * 5), {}, "5 pages, expected one image"),
        ("a.tif", GRAY.astype(np.int8), {"photometric": "miniswhite"}, "MINISWHITE pixels of type int8"),
    ],
    ids=["one bit", "float", "nan", "stack", "inverted"],
)
def test_what_is_no_micrograph(write_image, name, pixels, options, message):
    path = write_image(name, pixels, **options)
    with pytest.raises(InputError, match=rf"{name}: .*{message}"):
        read_micrograph(path)
    with pytest.raises(InputError, match=rf"1 of 2 images cannot be segmented, so none was: .*{message}"):
        check_images([{"image": path}, {"image": write_image("good.png", GRAY)}])


def test_mask_with_soft_edges(write_image, caplog):
    mask = np.zeros((6, 6), np.uint8)
    mask[1:5, 1:5], mask[1, 1], mask[4, 4] = 255, 100, 200
    read = read_mask(write_image("m.png", mask))
    np.testing.assert_array_equal(read, mask > 127)
    assert "2 pixels are gray" in caplog.text
    with pytest.raises(InputError, match=r"l\.png: .* are gray, expected 0 or 44; export a mask, not a label map"):
        read_mask(write_image("l.png", GRAY))
    assert not read_mask(write_image("e.png", np.zeros((3, 3), np.uint8))).any()
    np.testing.assert_array_equal(read_mask(write_image("b.png", RAMP > 9)), RAMP > 9)


def test_items_lie_y_x_and_know_their_file(write_image):
    item = {
        "image": str(write_image("a.png", GRAY)),
        "label": str(write_image("l.tif", RAMP.astype(np.int32) * 2000)),
        "axon": str(write_image("x.png", (RAMP > 9) * np.uint8(255))),
        "pixel_size_um": 0.1,
    }
    read = ReadLabelsd(("label", "axon"))(ReadMicrographd("image")(item))
    assert (read["image"].shape, read["image"].dtype) == ((3, 5, 9), torch.float32)
    np.testing.assert_array_equal(read["image"].numpy(), to_rgb(RAMP.astype(np.uint8)))
    assert read["image"].meta["pixel_size_um"] == 0.1
    for key, pixels in (("label", RAMP * 2000), ("axon", (RAMP > 9) * 255)):
        assert (read[key].shape, read[key].dtype) == ((1, 5, 9), torch.int32)
        assert (read[key].meta["filename_or_obj"], read[key].meta["original_shape"]) == (item[key], (5, 9))
        np.testing.assert_array_equal(read[key].numpy()[0], pixels)


def test_pixel_size_of_the_knob_then_the_item_then_the_sidecar(write_image, caplog):
    path = write_image("sub-1_TEM.png", GRAY)
    assert math.isnan(ReadMicrographd("image")({"image": path})["image"].meta["pixel_size_um"])
    assert "sub-1_TEM.png: the size of its pixels is unknown" in caplog.text
    path.with_suffix(".json").write_text(json.dumps({"PixelSize": [20, 20], "PixelSizeUnits": "nm"}))
    for knob, item, expected in (
        ("none", {}, 0.02),
        ("none", {"pixel_size_um": 0.1}, 0.1),
        (2, {"pixel_size_um": 0.1}, 2),
    ):
        read = ReadMicrographd("image", knob)({"image": path} | item)["image"]
        assert read.meta["pixel_size_um"] == pytest.approx(expected)


def test_pixels_that_are_not_square(write_image, caplog):
    path = write_image("a.png", GRAY)
    path.with_suffix(".json").write_text(json.dumps({"PixelSize": [0.1, 0.4], "PixelSizeUnits": "um"}))
    assert ReadMicrographd("image")({"image": path})["image"].meta["pixel_size_um"] == pytest.approx(0.2)
    assert "pixels of 0.1 x 0.4 um; taken as square, of the same area" in caplog.text  # width x height


@pytest.mark.parametrize(
    ("sidecar", "message"),
    [
        ('{"PixelSize": [0.1], "PixelSizeUnits": "um"}', r"PixelSize \[0.1\] um, expected two numbers"),
        ('{"PixelSize": [0.1, 0.1], "PixelSizeUnits": "inch"}', "expected two numbers above 0"),
        ('{"PixelSize": [0, 0], "PixelSizeUnits": "um"}', "expected two numbers above 0"),
        ("{", "not a readable JSON"),
        ("[]", "a list, expected fields"),
    ],
)
def test_sidecar_that_cannot_be_understood(write_image, sidecar, message):
    path = write_image("a.png", GRAY)
    path.with_suffix(".json").write_text(sidecar)
    with pytest.raises(InputError, match=rf"a\.json: .*{message}"):
        ReadMicrographd("image")({"image": path})


@pytest.mark.parametrize("given", [0, -1.0, "0.1", True, math.nan])
def test_pixel_size_that_is_none(write_image, given):
    with pytest.raises(InputError, match=r"a\.png: a pixel size of .* expected a positive number"):
        ReadMicrographd("image", given)({"image": write_image("a.png", GRAY)})


@pytest.mark.parametrize("pixel_size_um", [0.25, "none"])
def test_pixel_size_survives_batches(write_image, pixel_size_um):
    dataset = Dataset([{"image": write_image("a.png", GRAY)}], ReadMicrographd("image", pixel_size_um))
    (batch,) = DataLoader(dataset, batch_size=1)
    found = [
        float(batch["image"].meta["pixel_size_um"]),
        float(decollate_batch(batch)[0]["image"].meta["pixel_size_um"]),
    ]
    assert found == [0.25, 0.25] if pixel_size_um == 0.25 else all(map(math.isnan, found))


def test_sixteen_bit_becomes_gray_values(write_image):
    read = ReadMicrographd("image", 0.1)({"image": write_image("a.tif", (RAMP * 1400).astype(np.uint16))})["image"]
    assert (float(read.min()), float(read.max())) == (0, 255)


def test_colour_becomes_the_gray_that_the_converter_makes_of_it():
    colours = np.array([[[200, 40, 10], [0, 250, 90]]], np.uint8)
    expected = [round(0.299 * red + 0.587 * green + 0.114 * blue) for red, green, blue in colours[0].tolist()]
    np.testing.assert_array_equal(luminance(colours), [expected])


def test_colour_is_read_as_gray(write_image):
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    image = ReadMicrographd("image")({"image": str(write_image("stained.png", colours))})["image"]
    np.testing.assert_array_equal(image, to_rgb(luminance(colours)))


@pytest.mark.parametrize("unit", ["micron", "inch"])
def test_pixel_size_that_an_image_tells_itself(tmp_path, caplog, unit):
    options = {"imagej": True, "metadata": {"axes": "YX", "unit": unit}, "resolution": (10.0, 10.0)}
    tifffile.imwrite(tmp_path / "a.tif", GRAY, **options)
    found = ReadMicrographd("image")({"image": str(tmp_path / "a.tif")})["image"].meta["pixel_size_um"]
    if unit == "micron":
        assert found == pytest.approx(0.1)
    else:  # dots of a printer are no scale
        assert math.isnan(found) and "a.tif: the size of its pixels is unknown" in caplog.text
