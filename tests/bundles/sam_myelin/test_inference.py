"""From images on disk to maps, tables and pictures, through inference.json; bad input is told before work begins."""

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sam_myelin.known_axons import keep_axons
from sam_myelin.prompt_tables import write_prompts
from sam_myelin.prompts import prompts_from_labels

from tests.bundles.sam_myelin.stand_ins import GrayNetwork, draw_grid
from tests.refusals import refusing

ROOT = Path(__file__).parents[3] / "bundles" / "sam_myelin"


@pytest.fixture
def run(run_workflow: Callable, tmp_path: Path) -> Callable[..., Path]:
    """Function that runs inference with the stand-in network and gives the folder of results."""
    return partial(run_workflow, "inference", dataset_dir=tmp_path / "data", network=GrayNetwork())


def read_png(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def share_right(path: Path, labels: np.ndarray) -> float:
    """Share of the fibres' pixels that have the right number."""
    found = read_png(path)
    assert found.shape == labels.shape
    return np.mean(found[labels > 0] == labels[labels > 0])


@pytest.mark.parametrize("refine", [True, False])
def test_every_image_of_a_folder_gets_its_fibres(write_image, run, refine):
    drawn = {"a": draw_grid(3, 4), "b": draw_grid(4, 3)}
    for name, (image, _, _) in drawn.items():
        write_image(f"data/{name}.png", image)
    output = run(refine=refine, pixel_size_um=0.01)
    kinds = ("axonmyelin.png", "fibres.png", "morphometrics.csv", "myelin.png", "overlay.png")
    assert sorted(path.name for path in output.iterdir()) == [f"{name}_{kind}" for name in drawn for kind in kinds]
    for name, (_, labels, axon) in drawn.items():
        assert share_right(output / f"{name}_fibres.png", labels) > 0.9
        assert np.mean((read_png(output / f"{name}_axonmyelin.png") == 255) == axon) > 0.97
        with (output / f"{name}_morphometrics.csv").open() as file:
            ratios = [float(row["g_ratio"]) for row in csv.DictReader(file)]
        np.testing.assert_allclose(ratios, 14 / 26, atol=0.06)


def test_prompts_keep_their_numbers(write_image, run, tmp_path):
    image, labels, axon = draw_grid(3, 4)
    write_image("data/sub-1/micr/a.png", image)
    (tmp_path / "data/dataset.json").write_text(
        json.dumps({"training": [], "testing": [{"image": "sub-1/micr/a.png"}]})
    )
    labels = labels * 10
    write_prompts(tmp_path / "data/sub-1/micr/a_prompts.tsv", prompts_from_labels(labels, axon))
    for folder in ("none", str(tmp_path / "data")):
        output = run(prompt_source="prompts", prompts_dir=folder)
        assert share_right(output / "a_fibres.png", labels) > 0.9


def test_axons_as_prompts(write_image, run):
    image, labels, axon = draw_grid(3, 4)
    write_image("data/a.tif", image)
    write_image("data/masks/a_seg-axon.png", axon * np.uint8(255))
    output = run(prompt_source="axons", axon_dir=str(write_image("data/masks/b.png", image).parent), tile_px=128)
    assert share_right(output / "a_fibres.png", labels) > 0.9
    np.testing.assert_array_equal(read_png(output / "a_axonmyelin.png") == 255, axon)


def test_given_axons_are_the_results_own_and_the_rest_of_what_a_sheath_encloses_is_its():
    labels, axonmyelin = np.array([[1, 1, 1, 2, 0]], np.int32), np.array([[127, 255, 255, 127, 0]], np.int32)
    found = keep_axons(labels, axonmyelin, np.array([[0, 1, 0, 0, 3]]))
    np.testing.assert_array_equal(found, [[[1, 1, 1, 2, 3]], [[127, 255, 127, 127, 255]]])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"prompt_source": "prompts"}, r"a\.png: no a_prompts\.tsv"),
        ({"prompt_source": "boxes"}, "--prompt_source boxes: unknown"),
        ({"target": "sheath"}, "--target sheath: unknown"),
        ({"tile_px": 0}, "--tile_px 0: expected"),
        ({"refine": "true"}, "write --refine True"),
        ({"tile_pxx": 5}, "unknown override --tile_pxx; did you mean --tile_px"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_written(write_image, run, tmp_path, overrides, message):
    write_image("data/a.png", draw_grid(2, 2)[0])
    with refusing(message):
        run(**overrides)
    assert not list((tmp_path / "output").glob("*"))


def test_broken_image(write_image, run, tmp_path):
    write_image("data/a.png", draw_grid(2, 2)[0])
    write_image("data/b.tif", np.zeros((8, 8), np.float32))
    with refusing("1 of 2 images cannot be segmented"):
        run()
    assert not (tmp_path / "output").exists()
