"""A picture shows where truth and result agree and where they do not."""

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from common.errors import InputError
from tools.overlay import (
    BLOCK_GAP_PX,
    ENLARGEMENT,
    GAP_PX,
    MAX_PLANE_PX,
    RESULT_COLOUR,
    TRUTH_COLOUR,
    draw_overlay,
    draw_plane_overlay,
    overlay,
)

WHITE = (255, 255, 255)


def block(low: int, high: int) -> np.ndarray:
    volume = np.zeros((6, 12, 12), np.uint8)
    volume[1:5, low:high, low:high] = 1
    return volume


def bounds(picture: np.ndarray, colour: tuple[int, ...]) -> tuple[int, ...]:
    """First row of a colour and the one after its last, the same of columns."""
    rows, columns = np.nonzero((picture == colour).all(axis=-1))
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


def colours(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.unique(picture.reshape(-1, 3), axis=0).tolist()}


def test_agreement_is_white_and_has_neither_colour():
    picture = draw_overlay(np.zeros((6, 12, 12)), block(3, 8), block(3, 8))
    assert not colours(picture) & {TRUTH_COLOUR, RESULT_COLOUR}


def test_disagreement_shows_both_colours():
    picture = draw_overlay(np.zeros((6, 12, 12)), block(2, 6), block(5, 10))
    assert colours(picture) >= {TRUTH_COLOUR, RESULT_COLOUR}


def test_outline_lies_on_the_object():
    picture = draw_overlay(np.zeros((6, 12, 12)), block(3, 8))
    height = 12 * ENLARGEMENT
    outlined = picture[height + GAP_PX : 2 * height + GAP_PX, :height]
    assert bounds(outlined, RESULT_COLOUR) == (3 * ENLARGEMENT, 8 * ENLARGEMENT, 3 * ENLARGEMENT, 8 * ENLARGEMENT)


def xz_panels(picture: np.ndarray, height: int) -> list[np.ndarray]:
    """Panels with outlines of the lower block of a volume with 12 rows and columns, from left to right."""
    width = 12 * ENLARGEMENT
    top = 2 * width + GAP_PX + BLOCK_GAP_PX + height + GAP_PX
    assert picture.shape[0] == top + height
    return [picture[top:, left : left + width] for left in range(0, picture.shape[1], width + GAP_PX)]


@pytest.mark.parametrize(("spacing", "stretch"), [((1.0, 1.0, 1.0), 1), ((1.5, 0.5, 0.5), 3), ((3.5, 2.0, 2.0), 1.75)])
def test_outline_along_y_lies_on_the_object_with_z_drawn_to_scale(spacing, stretch):
    picture = draw_overlay(np.zeros((6, 12, 12)), block(3, 8), spacing=spacing)
    top, bottom, left, right = bounds(xz_panels(picture, round(6 * ENLARGEMENT * stretch))[0], RESULT_COLOUR)
    assert (left, right) == (3 * ENLARGEMENT, 8 * ENLARGEMENT)
    assert (top, bottom) == pytest.approx((1 * ENLARGEMENT * stretch, 5 * ENLARGEMENT * stretch), abs=1)


def test_sections_along_y_are_spread_over_the_objects_and_end_with_the_projection():
    image, result = np.zeros((6, 12, 12)), np.zeros((6, 12, 12), int)
    for y in (3, 4, 5, 6, 7):  # with every y the object begins one voxel further to the right
        result[2:4, y, y : y + 2] = 1
    image[1, 5] = 100  # in the section at y = 5, and nowhere else
    panels = xz_panels(draw_overlay(image, result), 6 * ENLARGEMENT)
    lefts = [bounds(panel, RESULT_COLOUR)[2] // ENLARGEMENT for panel in panels]
    assert lefts == [4, 5, 6, 3]
    *sections, projection = [(panel[ENLARGEMENT : 2 * ENLARGEMENT] == 255).all() for panel in panels]
    assert sections == [left == 5 for left in lefts[:-1]] and projection


def test_truth_result_and_agreement_have_their_colours_along_y():
    result, labels = block(3, 8), block(3, 8)
    labels[1:3] = 0  # seen along y, the truth begins two planes lower
    for panel in xz_panels(draw_overlay(np.zeros((6, 12, 12)), result, labels), 6 * ENLARGEMENT):
        assert bounds(panel, RESULT_COLOUR)[0] == 1 * ENLARGEMENT and bounds(panel, TRUTH_COLOUR)[0] == 3 * ENLARGEMENT
        assert bounds(panel, WHITE) == (3 * ENLARGEMENT, 5 * ENLARGEMENT, 3 * ENLARGEMENT, 8 * ENLARGEMENT)


def test_coarse_planes_do_not_make_the_picture_endless():
    picture = draw_overlay(np.zeros((6, 12, 12)), block(3, 8), spacing=(1000.0, 1.0, 1.0))
    assert picture.shape[0] < 3 * MAX_PLANE_PX


def test_touching_instances_of_the_truth_are_not_counted_against_a_mask():
    labels = block(3, 8).astype(int)
    labels[:, :, 5:] *= 2
    assert TRUTH_COLOUR not in colours(draw_overlay(np.zeros((6, 12, 12)), block(3, 8), labels))


def test_empty_result_of_a_flat_volume_is_drawn():
    assert draw_overlay(np.full((6, 12, 12), 7), np.zeros((6, 12, 12), int)).dtype == np.uint8


def test_command_writes_a_png_and_refuses_files_of_other_grids(tmp_path):
    for name, shape in (("image", (12, 12, 6)), ("other", (12, 12, 5))):
        nib.save(nib.Nifti1Image(np.ones(shape, np.uint8), np.eye(4)), tmp_path / f"{name}.nii.gz")
    paths = {name: str(tmp_path / f"{name}.nii.gz") for name in ("image", "other", "missing")}
    overlay(paths["image"], paths["image"], str(tmp_path / "picture.png"))
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.format == "PNG"
    with pytest.raises(InputError, match="other.nii.gz: shape .5, 12, 12.*give files of one grid"):
        overlay(paths["image"], paths["other"], str(tmp_path / "no.png"))
    with pytest.raises(InputError, match="missing.nii.gz: no such file"):
        overlay(paths["image"], paths["missing"], str(tmp_path / "no.png"))
    assert not (tmp_path / "no.png").exists()


def test_command_takes_the_spacing_of_the_image(tmp_path):
    for name in ("image", "mask"):
        volume = nib.Nifti1Image(np.ones((12, 12, 6), np.uint8), np.diag([2, 2, 4, 1]))
        nib.save(volume, tmp_path / f"{name}.nii.gz")
    picture = tmp_path / "picture.png"
    overlay(str(tmp_path / "image.nii.gz"), str(tmp_path / "mask.nii.gz"), str(picture))
    xz_panels(np.asarray(Image.open(picture)), 6 * ENLARGEMENT * 2)  # tells the height


def test_mask_is_drawn_where_its_header_says(tmp_path):
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 9, (12, 10, 6)).astype(np.uint8), np.zeros((12, 10, 6), np.uint8)
    mask[2:5, 3:6, 1:4] = 1
    reversed_x = np.diag([-1.0, 1, 1, 1])
    reversed_x[0, 3] = 11
    elsewhere = np.eye(4)
    elsewhere[0, 3] = 30
    for name, volume, affine in (
        ("image", image, np.eye(4)),
        ("same", mask, np.eye(4)),
        ("reversed", mask[::-1], reversed_x),
        ("elsewhere", mask, elsewhere),
        ("coarser", mask, np.diag([2.0, 2, 2, 1])),
    ):
        nib.save(nib.Nifti1Image(volume, affine), tmp_path / f"{name}.nii.gz")
    drawn = {}
    for name in ("same", "reversed"):
        overlay(tmp_path / "image.nii.gz", tmp_path / f"{name}.nii.gz", tmp_path / f"{name}.png")
        drawn[name] = np.asarray(Image.open(tmp_path / f"{name}.png"))
    np.testing.assert_array_equal(drawn["same"], drawn["reversed"])
    for name in ("elsewhere", "coarser"):
        with pytest.raises(InputError, match=f"{name}.nii.gz: the volume lies elsewhere than its image"):
            overlay(tmp_path / "image.nii.gz", tmp_path / f"{name}.nii.gz", tmp_path / "no.png")
    assert not (tmp_path / "no.png").exists()


@pytest.mark.parametrize("name", ["image.ome.tif", "image.tif"])
def test_result_is_drawn_over_the_file_that_it_was_made_of(tmp_path, name):
    volume = np.arange(6 * 12 * 12, dtype=np.uint16).reshape(6, 12, 12)
    metadata = {"axes": "ZYX", "PhysicalSizeX": 2, "PhysicalSizeY": 2, "PhysicalSizeZ": 4} if "ome" in name else None
    tifffile.imwrite(tmp_path / name, volume, photometric="minisblack", metadata=metadata)
    for copy, array in (("image.nii.gz", volume), ("mask.nii.gz", block(3, 9))):
        nib.save(nib.Nifti1Image(array.T, np.diag([2, 2, 4, 1])), tmp_path / copy)
    tifffile.imwrite(tmp_path / "mask.tif", block(3, 9), photometric="minisblack")
    overlay(str(tmp_path / "image.nii.gz"), str(tmp_path / "mask.nii.gz"), str(tmp_path / "expected.png"))
    expected = np.asarray(Image.open(tmp_path / "expected.png"))
    overlay(str(tmp_path / name), str(tmp_path / "mask.nii.gz"), str(tmp_path / "drawn.png"))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "drawn.png")), expected)
    overlay(str(tmp_path / name), str(tmp_path / "mask.tif"), str(tmp_path / "labels.png"))
    drawn = np.asarray(Image.open(tmp_path / "labels.png"))
    assert (drawn.shape == expected.shape) == ("ome" in name), (
        "its spacing is known, or taken for the same along all axes"
    )


def test_picture_is_no_image_of_a_volume(tmp_path):
    Image.fromarray(np.ones((12, 12), np.uint8)).save(tmp_path / "image.png")
    nib.save(nib.Nifti1Image(block(3, 9).T, np.eye(4)), tmp_path / "mask.nii.gz")
    with pytest.raises(InputError, match=r"mask.nii.gz: shape .6, 12, 12., its image .12, 12.; give files of one grid"):
        overlay(str(tmp_path / "image.png"), str(tmp_path / "mask.nii.gz"), str(tmp_path / "no.png"))


def test_plane_is_shrunk_and_outlined_beside_itself():
    image = np.full((3201, 1000, 3), (10, 20, 30), np.uint8)
    mask = np.zeros((3201, 1000), np.uint8)
    mask[300:600, 300:600] = 255
    picture = draw_plane_overlay(image, mask, mask.astype(bool))
    assert picture.shape == (1067, 2 * 334 + 4, 3)
    assert colours(picture[:, :334]) == {(10, 20, 30)}, "the left half is the image alone"
    rows, columns = np.nonzero((picture[:, 338:] == 255).all(axis=-1))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (99, 200, 99, 200)


def test_slide_with_its_mask_is_drawn_and_a_mask_of_another_size_refused(tmp_path):
    for name, shape in (("slide", (40, 50, 3)), ("mask", (40, 50)), ("other", (50, 40))):
        tifffile.imwrite(tmp_path / f"{name}.tiff", np.ones(shape, np.uint8))
    slide, mask, other, picture = (str(tmp_path / name) for name in ("slide.tiff", "mask.tiff", "other.tiff", "o.png"))
    overlay(slide, mask, picture, label=mask)
    with Image.open(picture) as drawn:
        assert drawn.size == (104, 40)
    with pytest.raises(InputError, match=r"other.tiff: shape .50, 40., its image .40, 50.; give files of one grid"):
        overlay(slide, other, picture)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match="text.png: cannot be read"):
        overlay(str(tmp_path / "text.png"), mask, picture)


PLANE = np.arange(144, dtype=np.uint8).reshape(12, 12)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [(PLANE.astype(np.complex64), "voxels are complex64"), (np.where(PLANE, PLANE, np.nan), "1 voxels are NaN")],
)
def test_image_that_nobody_can_look_at_is_refused(tmp_path, pixels, reason):
    tifffile.imwrite(tmp_path / "image.tif", pixels, photometric="minisblack")
    tifffile.imwrite(tmp_path / "mask.tif", block(3, 9)[1], photometric="minisblack")
    with pytest.raises(InputError, match=f"image.tif: {reason}"):
        overlay(tmp_path / "image.tif", tmp_path / "mask.tif", tmp_path / "no.png")
    assert not (tmp_path / "no.png").exists()


def test_one_bit_is_black_or_white_and_a_palette_of_labels_only_colours(tmp_path):
    labels = Image.fromarray(block(3, 9)[1])
    labels.save(tmp_path / "labels.png")
    labels.putpalette([0, 0, 0, 200, 30, 40])
    labels.save(tmp_path / "coloured.png")
    drawn = []
    for name, pixels in (("bit", PLANE > 70), ("gray", (PLANE > 70) * np.uint8(255))):
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, photometric="minisblack")
        for result in ("labels", "coloured"):
            overlay(tmp_path / f"{name}.tif", tmp_path / f"{result}.png", tmp_path / "drawn.png")
            drawn.append(np.asarray(Image.open(tmp_path / "drawn.png")))
    assert all((one == drawn[0]).all() for one in drawn)


@pytest.mark.parametrize(("name", "kind"), [("o.PNG", "PNG"), ("o.jpg", "JPEG"), ("o.tif", "TIFF")])
def test_picture_is_of_the_format_that_its_name_ends_with(tmp_path, name, kind):
    tifffile.imwrite(tmp_path / "mask.tif", block(3, 9)[1], photometric="minisblack")
    overlay(tmp_path / "mask.tif", tmp_path / "mask.tif", tmp_path / name)
    with Image.open(tmp_path / name) as picture:
        assert picture.format == kind
    with pytest.raises(InputError, match=r"o\.xyz: pictures are written as \.png, .*; give it one of these endings"):
        overlay(tmp_path / "mask.tif", tmp_path / "mask.tif", tmp_path / "o.xyz")


def test_picture_does_not_replace_what_it_is_drawn_from(tmp_path):
    for name in ("image.tif", "mask.tif"):
        tifffile.imwrite(tmp_path / name, block(3, 9)[1], photometric="minisblack")
    before = (tmp_path / "image.tif").read_bytes()
    with pytest.raises(InputError, match="image.tif: is one of the files to draw; choose another name"):
        overlay(tmp_path / "image.tif", tmp_path / "mask.tif", tmp_path / "image.tif")
    assert (tmp_path / "image.tif").read_bytes() == before


def test_an_image_in_the_place_of_its_result_is_refused(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 9, (40, 40), np.uint8)
    for name, of in (("image", pixels), ("labels", block(3, 9)[1]), ("prob", pixels / 9)):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.resize(of, (40, 40)).astype(of.dtype), photometric="minisblack")
    for name, reason in (("image", "as the gray values of a picture do"), ("prob", "holds decimals")):
        with pytest.raises(InputError, match=f"{name}.tif: .*{reason}"):
            overlay(tmp_path / "labels.tif", tmp_path / f"{name}.tif", tmp_path / "no.png")
    assert not (tmp_path / "no.png").exists()
    stray = np.where(pixels > 4, 255, pixels % 5 * 64).astype(np.uint8)
    tifffile.imwrite(
        tmp_path / "stray.tif", stray, photometric="minisblack"
    )  # a mask with gray values, as editors leave
    overlay(tmp_path / "image.tif", tmp_path / "stray.tif", tmp_path / "drawn.png")
