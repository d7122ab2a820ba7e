"""Slides are read at the working resolution exactly, in parts, and refused when they are no slides."""

import numpy as np
import pytest
import tifffile
import torch
from crypt_unet import reading
from crypt_unet.common.errors import InputError
from crypt_unet.common.reading.windows import TiffWindows
from crypt_unet.reading import ReadLabelsd, ReadSlided, block_mean, check_slides, read_scaled, shrinking_factor
from skimage.transform import downscale_local_mean


def random_rgb(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_blocks_are_averaged_as_scikit_image_does():
    image = random_rgb(24, 40)
    np.testing.assert_allclose(block_mean(image, 8), downscale_local_mean(image, (8, 8, 1)), rtol=1e-6)


def test_partial_blocks_at_the_border_average_the_pixels_they_have():
    image = random_rgb(10, 9)
    shrunk = block_mean(image, 4)
    assert shrunk.shape == (3, 3, 3)
    np.testing.assert_allclose(shrunk[2, 2], image[8:, 8:].mean(axis=(0, 1)), rtol=1e-6)


@pytest.mark.parametrize("factor", [1, 3, 8])
def test_bands_make_the_same_image_as_one_piece(write_image, monkeypatch, factor):
    image = random_rgb(101, 57)
    monkeypatch.setattr(reading, "BAND", 16)
    with TiffWindows(write_image("a.tiff", image, tile=(16, 16))) as slide:
        np.testing.assert_array_equal(read_scaled(slide, factor), np.rint(block_mean(image, factor)).astype(np.uint8))


def test_labels_take_the_majority_of_a_block(write_image):
    labels = np.zeros((5, 12), np.uint16)
    labels[:2, :4], labels[:1, 4:8] = 7, 300  # half of one block, a quarter of the next
    labels[:, 8:10], labels[:, 10:] = 2, 9  # two that touch share the third; the last row of blocks is partial
    with TiffWindows(write_image("labels.tiff", labels)) as image:
        np.testing.assert_array_equal(read_scaled(image, 4, labels=True)[..., 0], [[7, 0, 9], [0, 0, 9]])


@pytest.mark.parametrize(
    ("pixel_um", "factor"), [(0.5, 8), (0.25, 16), (1.0, 4), (0.44, 9), (30.0, 1), (None, 8), (0, 8)]
)
def test_crypts_of_any_scanner_come_out_as_large(pixel_um, factor):
    assert shrinking_factor(8, 0.5, pixel_um) == factor


def test_pixel_size_of_a_slide_comes_from_its_file_before_it_comes_from_the_user(write_image):
    told = write_image("told.tiff", random_rgb(64, 64), resolution=(20000, 20000), resolutionunit=3)
    silent = write_image("silent.tiff", random_rgb(64, 64))
    read = ReadSlided(["image", "label"], downsample=4, slide_um=0.5, pixel_um=0.25)
    label = str(write_image("labels.tiff", np.ones((64, 64), np.uint8)))
    for path, size, factor in ((told, 0.5, 4), (silent, 0.25, 8)):
        item = read({"image": str(path), "label": label})
        assert (item["image"].meta["pixel_size_um"], item["image"].meta["downsample"]) == (size, factor)
        assert item["image"].shape[1:] == item["label"].shape[1:] == (64 // factor, 64 // factor)


def test_slides_without_pixel_size_are_named_and_the_size_asked_for(write_image, caplog):
    told = write_image("told.tiff", random_rgb(8, 8), resolution=(20000, 20000), resolutionunit=3)
    items = [{"image": str(told)}, {"image": str(write_image("silent.tiff", random_rgb(8, 8)))}]
    check_slides(items, slide_um=0.5)
    assert "silent.tiff: no pixel size in this file, so 0.5 µm is assumed; give the real one with" in caplog.text
    assert "told.tiff" not in caplog.text
    caplog.clear()
    check_slides(items, slide_um=0.5, pixel_um=0.3)
    assert not caplog.text


def test_slide_knows_where_it_comes_from(write_image):
    path = write_image("a.tiff", random_rgb(21, 30), resolution=(20000, 20000), resolutionunit=3)
    image = ReadSlided("image", downsample=4)({"image": str(path)})["image"]
    assert (image.dtype, image.shape) == (torch.uint8, (3, 6, 8))
    wanted = {"filename_or_obj": str(path), "slide_shape": (21, 30), "downsample": 4, "pixel_size_um": 0.5}
    assert {key: image.meta[key] for key in wanted} == wanted


def test_labels_are_read_as_they_are(write_image):
    labels = np.arange(12 * 9, dtype=np.uint16).reshape(12, 9)
    item = {"image": str(write_image("a.tiff", random_rgb(12, 9))), "label": str(write_image("l.tiff", labels))}
    read = ReadLabelsd("label")(ReadSlided("image", downsample=4)(item))
    np.testing.assert_array_equal(read["label"].numpy(), labels[None])


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (np.zeros((32, 32, 4), np.uint8), {"photometric": "rgb", "extrasamples": [2]}, "without the alpha channel"),
        (np.zeros((32, 32), np.uint8), {}, "1 samples per pixel .* export the slide in colour"),
        (np.zeros((32, 32, 3), np.uint16), {}, "type uint16, expected 3 .RGB. of type uint8"),
        (np.zeros((32, 32, 4), np.uint8), {"photometric": "separated"}, "CMYK.* convert it to RGB"),
    ],
    ids=["RGBA", "gray", "16 bit", "CMYK"],
)
def test_image_that_is_no_rgb_slide(write_image, pixels, options, message):
    path = write_image("a.tiff", pixels, **options)
    with pytest.raises(InputError, match=rf"a\.tiff: .*{message}"):
        ReadSlided("image", downsample=2)({"image": str(path)})


def test_tiles_in_jpeg_are_read_in_colour(write_image):
    image = np.full((64, 64, 3), (200, 40, 120), np.uint8)
    path = write_image("a.tiff", image, compression="jpeg", tile=(32, 32))
    read = ReadSlided("image", downsample=8)({"image": str(path)})["image"]
    np.testing.assert_allclose(read.numpy(), np.broadcast_to(image[0, 0][:, None, None], (3, 8, 8)), atol=4)


@pytest.mark.parametrize("transform", [ReadSlided(["image", "label"], downsample=2), ReadLabelsd("label")])
def test_labels_of_another_size(write_image, transform):
    labels = str(write_image("labels.tiff", np.zeros((10, 12), np.uint8)))
    item = {"image": str(write_image("a.tiff", random_rgb(12, 10))), "label": labels}
    if isinstance(transform, ReadLabelsd):
        item = ReadSlided("image", downsample=2)(item)
    with pytest.raises(InputError, match=r"labels\.tiff: 10 x 12 pixels, its slide has 12 x 10"):
        transform(item)


def test_slide_that_is_gone(tmp_path):
    with pytest.raises(InputError, match="gone.tiff: no such file"):
        ReadSlided("image", downsample=2)({"image": str(tmp_path / "gone.tiff")})


@pytest.mark.parametrize("shape", [(512, 768), (510, 761)])
def test_pyramid_is_read_at_the_nearest_level(tmp_path, shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.stack([np.sin(y / 40), np.cos(x / 50), np.sin((x + y) / 90)], axis=-1) * 100 + 128
    image = np.rint(image).astype(np.uint8)
    small = np.rint(block_mean(image[: shape[0] // 4 * 4, : shape[1] // 4 * 4], 4)).astype(np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tiff") as writer:
        writer.write(image, photometric="rgb", tile=(128, 128), subifds=1)
        writer.write(small, photometric="rgb", tile=(128, 128), subfiletype=1)
    with TiffWindows(tmp_path / "a.tiff") as slide:
        read = slide.at_level
        slide.read = lambda *window: pytest.fail("full resolution was read")
        slide.at_level = lambda level: read(level)
        found = read_scaled(slide, 8)
    whole = np.rint(block_mean(image, 8))
    assert found.shape == whole.shape and np.abs(found - whole)[:-1, :-1].max() <= 1
    assert np.abs(found - whole).max() < 8  # where the level has a row less


@pytest.mark.parametrize("pixel_um", [0.0005, 500.0])
def test_pixels_of_no_slide_are_refused(pixel_um):
    with pytest.raises(InputError, match=r"--pixel_size_um .*: no slide's.*give micrometres"):
        ReadSlided(["image"], downsample=8, pixel_um=pixel_um)
