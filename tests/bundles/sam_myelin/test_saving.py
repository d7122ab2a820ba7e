"""Results lie on the image's grid, whole, under the image's name."""

import csv
import math

import numpy as np
import pytest
import torch
from PIL import Image
from sam_myelin.reading import ReadMicrographd
from sam_myelin.saving import AXON_COLOUR, FIBRE_COLOUR, SaveFibresd, draw_overlay

KINDS = ("axonmyelin.png", "fibres.png", "morphometrics.csv", "myelin.png", "overlay.png")


@pytest.fixture
def item(write_image, fibres):
    """An item as it comes out of the evaluator, of float, since autocast returns that."""
    labels, axon = fibres
    axonmyelin = np.where(labels > 0, 127, 0)
    axonmyelin[axon] = 255
    read = ReadMicrographd("image", 0.5)({"image": write_image("sub-1_TEM.tif", (labels * 9).astype(np.uint8))})
    return read | {"pred": torch.from_numpy(np.stack([labels, axonmyelin]).astype(np.float32))}


def read_png(path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_maps_are_what_was_found(item, fibres, tmp_path):
    labels, axon = fibres
    output_dir = tmp_path / "new" / "output"
    SaveFibresd("pred", output_dir)(item)
    assert sorted(path.name for path in output_dir.iterdir()) == [f"sub-1_TEM_{kind}" for kind in KINDS]
    found = read_png(output_dir / "sub-1_TEM_fibres.png")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_array_equal(read_png(output_dir / "sub-1_TEM_myelin.png"), 255 * ((labels > 0) & ~axon))
    np.testing.assert_array_equal(read_png(output_dir / "sub-1_TEM_axonmyelin.png"), item["pred"][1])


@pytest.mark.parametrize(
    ("pixel_size_um", "column", "expected"), [(0.5, "fibre_area_um2", 0.25), (None, "fibre_area_px2", 1)]
)
def test_table_has_micrometres_where_they_are_known(item, fibres, tmp_path, pixel_size_um, column, expected):
    labels, _ = fibres
    item["image"].meta["pixel_size_um"] = math.nan if pixel_size_um is None else pixel_size_um
    SaveFibresd("pred", tmp_path)(item)
    with (tmp_path / "sub-1_TEM_morphometrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["id"]) for row in rows] == [3, 7, 9]
    areas = [np.count_nonzero(labels == label) * expected for label in (3, 7, 9)]
    np.testing.assert_allclose([float(row[column]) for row in rows], areas, rtol=1e-5)


@pytest.mark.parametrize(("pixel_size_um", "told"), [(0.5, ""), (5, "larger than"), (0.005, "smaller than")])
def test_fibres_of_a_size_that_no_nerve_has_are_told(item, tmp_path, caplog, pixel_size_um, told):
    item["image"].meta["pixel_size_um"] = pixel_size_um
    SaveFibresd("pred", tmp_path)(item)
    assert (told in caplog.text and "correct the pixel size" in caplog.text) if told else not caplog.text


def test_overlay_outlines_fibres_and_axons(item, fibres, tmp_path):
    SaveFibresd("pred", tmp_path)(item)
    drawn = read_png(tmp_path / "sub-1_TEM_overlay.png")
    assert drawn.shape == (48, 64, 3)
    assert tuple(drawn[14, 3]) == FIBRE_COLOUR and tuple(drawn[14, 7]) == AXON_COLOUR
    np.testing.assert_array_equal(drawn[14, 14], [int(item["image"][0, 14, 14])] * 3)
    colours = np.zeros((3, 4, 4), np.float32)
    colours[1] = 255
    assert tuple(draw_overlay(colours, np.zeros((4, 4), int), np.zeros((4, 4), bool))[0, 0]) == (150, 150, 150)


def test_nothing_found(item, tmp_path):
    item["pred"] = torch.zeros(2, 48, 64)
    SaveFibresd("pred", tmp_path)(item)
    assert not read_png(tmp_path / "sub-1_TEM_fibres.png").any()
    assert len((tmp_path / "sub-1_TEM_morphometrics.csv").read_text().splitlines()) == 1


def test_interrupted_writing_leaves_the_old_file(item, tmp_path, monkeypatch):
    SaveFibresd("pred", tmp_path / "out")(item)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def fail(self, file, **options):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        SaveFibresd("pred", tmp_path / "out")(item)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_result_of_another_size(item, tmp_path):
    item["pred"] = item["pred"][:, :32, :32]
    with pytest.raises(ValueError, match=r"sub-1_TEM\.tif: result \(32, 32\), image \(48, 64\)"):
        SaveFibresd("pred", tmp_path)(item)
