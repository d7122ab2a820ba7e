"""The original's way through a slide, with which ours is compared, is itself right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tools.bench.tiles512 import TileInferer, shrink

SHAPES = [(8, 8), (5, 9), (16, 24), (17, 3), (1, 1)]


class RecordingNetwork(nn.Module):
    """Pointwise: a linear combination of the colours; remembers the tiles that it has seen."""

    def __init__(self):
        super().__init__()
        self.tiles = []

    def forward(self, tile):
        self.tiles.append(tile)
        return 0.02 * tile[:, :1] - 0.03 * tile[:, 1:2] + 0.01 * tile[:, 2:]


def drawn(shape):
    return torch.from_numpy(np.random.default_rng(0).integers(1, 256, (1, 3, *shape), dtype=np.uint8))


@pytest.mark.parametrize("shape", SHAPES)
def test_pointwise_network_gives_what_it_gives_in_one_pass(shape):
    slide, network = drawn(shape), RecordingNetwork()
    expected = torch.sigmoid(network(slide.float()))
    torch.testing.assert_close(TileInferer(8)(slide, network), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_tiles_show_every_pixel_once_and_black_beyond_the_border(shape):
    slide, network = drawn(shape), RecordingNetwork()
    TileInferer(8)(slide, network)
    assert [tuple(tile.shape) for tile in network.tiles] == [(1, 3, 8, 8)] * (-(-shape[0] // 8) * -(-shape[1] // 8))
    seen = torch.cat([tile.flatten() for tile in network.tiles])  # no pixel of the slide is black
    assert sorted(seen[seen > 0].tolist()) == sorted(slide.flatten().tolist())


def test_slide_loaded_by_rows_of_pixels_gives_the_same():
    slide = drawn((13, 20))
    interleaved = slide.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    network = RecordingNetwork()
    assert torch.equal(TileInferer(8)(interleaved, network), TileInferer(8)(slide, network))


def test_originals_size_is_the_default():
    network = RecordingNetwork()
    TileInferer()(drawn((513, 10)), network)
    assert [tuple(tile.shape) for tile in network.tiles] == [(1, 3, 512, 512)] * 2


@pytest.mark.parametrize("shape", [(6, 9), (7, 10), (1, 2), (3, 3)])
@pytest.mark.parametrize("factor", [1, 2, 3, 8])
def test_shrunk_pixels_are_means_of_their_blocks(shape, factor):
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    result = shrink(image, factor)
    assert result.dtype == np.uint8 and result.shape == (-(-shape[0] // factor), -(-shape[1] // factor), 3)
    for y, x in np.ndindex(result.shape[:2]):
        block = image[y * factor : (y + 1) * factor, x * factor : (x + 1) * factor]
        assert result[y, x].tolist() == np.rint(block.mean((0, 1))).tolist()
