"""A picture shows where truth and result agree and where they do not."""

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from tools.errors import InputError
from tools.overlay import ENLARGEMENT, RESULT_COLOUR, TRUTH_COLOUR, draw_overlay, draw_plane_overlay, overlay


def block(low: int, high: int) -> np.ndarray:
    volume = np.zeros((6, 12, 12), np.uint8)
    volume[1:5, low:high, low:high] = 1
    return volume


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
    lower = picture[12 * ENLARGEMENT + 4 :, : 12 * ENLARGEMENT]
    rows, columns = np.nonzero((lower == RESULT_COLOUR).all(axis=-1))
    assert (rows.min(), rows.max()) == (3 * ENLARGEMENT, 8 * ENLARGEMENT - 1)
    assert (columns.min(), columns.max()) == (3 * ENLARGEMENT, 8 * ENLARGEMENT - 1)


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
    assert Image.open(tmp_path / "picture.png").format == "PNG"
    with pytest.raises(InputError, match="other.nii.gz: shape .5, 12, 12.*give files of one grid"):
        overlay(paths["image"], paths["other"], str(tmp_path / "no.png"))
    with pytest.raises(InputError, match="missing.nii.gz: no such file"):
        overlay(paths["image"], paths["missing"], str(tmp_path / "no.png"))
    assert not (tmp_path / "no.png").exists()


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
    assert Image.open(picture).size == (104, 40)
    with pytest.raises(InputError, match=r"other.tiff: shape .50, 40., its image .40, 50.; give files of one grid"):
        overlay(slide, other, picture)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match="text.png: cannot be read"):
        overlay(str(tmp_path / "text.png"), mask, picture)
