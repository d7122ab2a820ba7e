"""Parts of an image are segmented by what one of them has decided, and seen as they are in the whole."""

import json

import numpy as np
import pytest
import torch
from sam_myelin.inferers import FibreInferer
from sam_myelin.look import Look, read_look, write_look
from sam_myelin.segmenter import class_probabilities, window_side

from tests.bundles.sam_myelin.stand_ins import GrayNetwork, draw_grid
from tests.bundles.sam_myelin.test_inferers import as_batch


@pytest.fixture
def image() -> np.ndarray:
    return draw_grid(5, 7)[0]


def inferer(path, **settings) -> FibreInferer:
    return FibreInferer(automatic=True, refine=False, looked=str(path), **settings)


def test_first_call_writes_what_the_next_ones_follow(image, tmp_path):
    path = tmp_path / "looked.json"
    network = GrayNetwork()
    inferer(path, tile_px=64)(as_batch(image), network)
    assert read_look(path) == Look(2.0, False), "its axons are brighter than its myelin"
    assert json.loads(path.read_text())["window_px"] == [256, 256]
    network.seen_px.clear()
    inferer(path)(as_batch(image[:128]), network)
    assert set(network.seen_px) == {(256, 512)}, "two rows of 128 pixels and windows of 256, magnified twice"


def test_axons_are_as_wide_as_was_decided(image, tmp_path):
    wide = {"axon_share": 0.99, "axon_share_bright": 0.5}
    found = []
    for bright in (False, True):
        write_look(tmp_path / "looked.json", Look(1.0, bright), image)
        found.append((inferer(tmp_path / "looked.json", **wide)(as_batch(image), GrayNetwork())[0, 1] == 255).sum())
    assert found[0] < found[1]


@pytest.mark.parametrize(("covered", "is_sure"), [(4, False), (6, True)])
def test_a_part_with_few_fibres_is_not_sure(tmp_path, covered, is_sure):
    labels = np.zeros((10, 10), int)
    labels.flat[:covered] = 1
    write_look(tmp_path / "looked.json", Look(1.3, True), labels)
    assert json.loads((tmp_path / "looked.json").read_text())["is_sure"] == is_sure
    assert read_look(tmp_path / "looked.json") == Look(1.3, True)


def test_nothing_is_followed_where_nothing_was_decided(tmp_path):
    assert read_look("none") is None and read_look(tmp_path / "looked.json") is None


@pytest.mark.parametrize("zoom", [0.87, 1.3, 2.0, 4.0])
def test_a_part_that_begins_where_a_window_does_is_seen_as_in_the_whole(zoom):
    pixels = torch.rand(3, 300, 1600, generator=torch.Generator().manual_seed(0)) * 255

    def by_place(shown: torch.Tensor) -> torch.Tensor:
        """Logits that depend on where in a window a pixel lies."""
        place = torch.linspace(-1, 1, shown.shape[-1]).expand(shown.shape[-2:])
        return torch.stack([shown[:, 0] / 255, shown[:, 1] / 255 * place, place.expand_as(shown[:, 0])], dim=1)

    side = window_side(zoom)
    interval, cpu = side * 3 // 4, torch.device("cpu")
    whole = class_probabilities(pixels, by_place, cpu, zoom=zoom)
    part = class_probabilities(pixels[..., interval:], by_place, cpu, zoom=zoom)
    torch.testing.assert_close(part[..., side // 4 :], whole[..., interval + side // 4 :])
