"""Images are shown at the size of fibres that the segmenter knows, whatever their pixels are said to be."""

import logging
import math

import numpy as np
import pytest
import torch
from sam_myelin.fibre_size import TYPICAL_PX, choose_zoom, typical_diameter

from tests.bundles.sam_myelin.stand_ins import GrayNetwork, draw_grid

CPU = torch.device("cpu")
DIAMETER = 52.0  # of the fibres in a drawn grid


@pytest.fixture
def image() -> torch.Tensor:
    return torch.from_numpy(draw_grid(6, 6)[0]).float().expand(3, -1, -1)


@pytest.fixture
def segment():
    return GrayNetwork().segment


@pytest.mark.parametrize("zoom", [0.5, 1, 2])
def test_diameter_is_that_of_the_fibres_as_they_are_shown(image, segment, zoom):
    diameter, share = typical_diameter(image, segment, CPU, zoom=zoom)
    assert diameter == pytest.approx(DIAMETER * zoom, rel=0.05)
    assert 0.3 < share < math.pi / 4 * (DIAMETER / 64) ** 2


def test_large_fibres_are_the_typical_ones(segment):
    image = np.full((300, 300), 100, np.uint8)
    small, large = draw_grid(4, 1, outer=12, inner=6)[0], draw_grid(1, 3, pitch=90, outer=40, inner=25)[0]
    image[:256, :64], image[10:100, 20:290] = small, large
    diameter, _ = typical_diameter(torch.from_numpy(image).float().expand(3, -1, -1), segment, CPU, zoom=1)
    assert diameter == pytest.approx(80, rel=0.05)


@pytest.mark.parametrize("expected", [None, 0.5, 0.75, 1, 1.5, 2, 4])
def test_fibres_are_shown_in_the_typical_size(image, segment, expected, caplog):
    with caplog.at_level(logging.INFO):
        zoom = choose_zoom(image, segment, CPU, expected=expected)
    assert zoom == pytest.approx(TYPICAL_PX / DIAMETER, rel=0.05)
    is_unusual = expected is not None and not 0.67 < expected * DIAMETER / TYPICAL_PX < 1.7
    assert ("as the size of pixels suggests" in caplog.text) == is_unusual


def test_what_shows_less_of_the_fibres_is_no_correction(image, segment, monkeypatch, caplog):
    found = iter([(0.33 * TYPICAL_PX, 0.4), (math.nan, 0.0)])  # as it is; at the magnification that this suggests
    monkeypatch.setattr("sam_myelin.fibre_size.typical_diameter", lambda *arguments, zoom: next(found))
    assert choose_zoom(image, segment, CPU, expected=1.0) == 1.0 and not caplog.text


@pytest.mark.parametrize(("expected", "kept"), [(None, 1), (3.0, 3.0)])
def test_where_nothing_is_found_nothing_is_changed(segment, expected, kept):
    assert choose_zoom(torch.full((3, 90, 80), 60.0), segment, CPU, expected=expected) == kept


@pytest.mark.parametrize(("num_fibres", "is_known"), [(3, True), (2, False)])
def test_three_fibres_are_enough(segment, num_fibres, is_known):
    image = torch.from_numpy(draw_grid(1, num_fibres)[0]).float().expand(3, -1, -1)
    diameter, share = typical_diameter(image, segment, CPU, zoom=1)
    assert (share > 0) == is_known and math.isnan(diameter) != is_known
