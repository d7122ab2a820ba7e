"""Results lie on the image's grid, whole, under the image's name."""

import numpy as np
import pytest
import torch
from PIL import Image
from swinunet_livecell.common.reading.picture_transforms import ReadGrayd
from swinunet_livecell.saving import SaveCellsd
from swinunet_livecell.tables import COLUMNS, SUMMARY_COLUMNS

SHAPE = (52, 70)


@pytest.fixture
def item(write_image):
    """An item as it comes out of the evaluator: cells in the upper left and lower right corner."""
    read = ReadGrayd("image")({"image": str(write_image("A172_1.tif", np.zeros(SHAPE, np.uint8)))})
    probability = torch.full((3, *SHAPE), 0.25)
    probability[:, :20, :10] = 1.0
    probability[:, 30:, 50:] = 0.5
    cells = torch.zeros(1, *SHAPE, dtype=torch.int32)
    cells[:, :20, :10], cells[:, 30:, 50:] = 1, 2
    return read | {"pred": probability, "cells": cells, "scores": torch.tensor([1.0, 0.5])}


def read_png(path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_mask_is_0_and_255_where_it_should_be(item, tmp_path):
    output_dir = tmp_path / "new" / "output"
    SaveCellsd("pred", output_dir, save_instances=False)(item)
    assert [path.name for path in output_dir.iterdir()] == ["A172_1_mask.png"]
    mask = read_png(output_dir / "A172_1_mask.png")
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, 255 * (item["pred"][0].numpy() >= 0.5))


def test_cells_their_table_and_the_probability(item, tmp_path):
    SaveCellsd("pred", tmp_path / "out", save_probability=True)(item)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"A172_1_{kind}" for kind in ("mask.png", "prob.png", "instances.png", "cells.csv")
    } | {"summary.csv"}
    header, *rows = (tmp_path / "out/A172_1_cells.csv").read_text().splitlines()
    assert header.split(",") == list(COLUMNS)
    assert [row.split(",")[0] for row in rows] == ["1", "2"]
    probability = read_png(tmp_path / "out/A172_1_prob.png")
    assert probability.dtype == np.uint16
    np.testing.assert_allclose(probability / 65535, item["pred"][0], atol=1e-5)
    cells = read_png(tmp_path / "out/A172_1_instances.png")
    assert (cells.dtype, cells.max(), cells[0, 0], cells[-1, -1]) == (np.uint16, 2, 1, 2)


def test_interrupted_writing_leaves_the_old_file(item, tmp_path, monkeypatch):
    SaveCellsd("pred", tmp_path / "out", save_instances=False)(item)
    before = (tmp_path / "out/A172_1_mask.png").read_bytes()

    def fail(self, file, **options):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        SaveCellsd("pred", tmp_path / "out", threshold=0.1, save_instances=False)(item)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["A172_1_mask.png"]
    assert (tmp_path / "out/A172_1_mask.png").read_bytes() == before


def test_result_of_another_size(item, tmp_path):
    item["pred"] = item["pred"][:, :32, :32]
    with pytest.raises(ValueError, match=r"A172_1\.tif: result \(32, 32\), image \(52, 70\)"):
        SaveCellsd("pred", tmp_path)(item)


def test_an_image_without_cells_is_told(item, tmp_path, caplog):
    item["pred"], item["cells"], item["scores"] = 0 * item["pred"], 0 * item["cells"], torch.zeros(0)
    SaveCellsd("pred", tmp_path / "out")(item)
    assert "A172_1.tif: no cell found" in caplog.text
    assert (tmp_path / "out/summary.csv").read_text().splitlines()[1] == "A172_1,0,0,nan,nan"


def test_cells_far_from_the_trained_size_are_told(item, tmp_path, caplog):
    SaveCellsd("pred", tmp_path / "out", trained_area=300)(item)
    assert "magnification" not in caplog.text
    SaveCellsd("pred", tmp_path / "out", trained_area=3000)(item)
    assert "A172_1.tif: half of the cells have less than 320 pixels" in caplog.text
    assert "--cell_diameter" in caplog.text


def test_summary_has_a_line_per_image(item, write_image, tmp_path):
    SaveCellsd("pred", tmp_path / "out")(item)
    other = ReadGrayd("image")({"image": str(write_image("A172_0.tif", np.zeros(SHAPE, np.uint8)))})
    for _ in range(2):
        SaveCellsd("pred", tmp_path / "out")(item | other)
    header, *rows = (tmp_path / "out/summary.csv").read_text().splitlines()
    assert header.split(",") == list(SUMMARY_COLUMNS)
    assert [row.split(",")[:2] for row in rows] == [["A172_0", "2"], ["A172_1", "2"]]
    assert all(row.endswith(",nan") for row in rows), "areas in square micrometres are not known"


def test_summary_has_areas_in_square_micrometres_where_the_size_of_a_pixel_is_known(item, tmp_path):
    SaveCellsd("pred", tmp_path / "out", pixel_size_um=0.5)(item)
    header, row = (tmp_path / "out/summary.csv").read_text().splitlines()
    found = dict(zip(header.split(","), row.split(","), strict=True))
    assert float(found["mean_area_um2"]) == pytest.approx(float(found["mean_area"]) / 4)
