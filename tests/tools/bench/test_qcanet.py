"""QCANet's scheme, with which ours is compared, is itself right."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tools.bench.qcanet import CentralCropInferer


class RecordingNetwork(nn.Module):
    """Two pointwise channels; remembers the patches that it has seen."""

    def __init__(self):
        super().__init__()
        self.patches = []

    def forward(self, patch):
        self.patches.append(patch)
        return torch.cat([2 * patch, patch**2], dim=1)


@pytest.mark.parametrize("shape", [(8, 8, 8), (5, 9, 16), (17, 3, 8), (1, 1, 1)])
def test_pointwise_network_gives_what_it_gives_directly(shape):
    image = torch.arange(1.0, 1 + torch.Size(shape).numel()).reshape(1, 1, *shape)
    network = RecordingNetwork()
    torch.testing.assert_close(CentralCropInferer(8, 4)(image, network), torch.cat([2 * image, image**2], dim=1))


@pytest.mark.parametrize("shape", [(8, 8, 8), (5, 9, 16)])
def test_every_voxel_is_kept_from_exactly_one_centre(shape):
    image = torch.arange(torch.Size(shape).numel(), dtype=torch.float64).reshape(1, 1, *shape)
    network = RecordingNetwork()
    CentralCropInferer(8, 4)(image, network)
    assert all(patch.shape == (1, 1, 8, 8, 8) for patch in network.patches)
    centres = torch.cat([patch[..., 2:6, 2:6, 2:6].flatten() for patch in network.patches])
    assert len(network.patches) == torch.Size(-(-size // 4) for size in shape).numel()
    if all(size % 4 == 0 for size in shape):  # no mirrored voxel in any centre
        assert sorted(centres.tolist()) == list(range(image.numel()))
    assert set(centres.tolist()) == set(range(image.numel()))


def test_border_is_mirrored():
    image = torch.arange(8.0).reshape(1, 1, 1, 1, 8).expand(1, 1, 8, 8, 8)
    network = RecordingNetwork()
    CentralCropInferer(8, 4)(image, network)
    assert network.patches[0][0, 0, 0, 0].tolist() == [2, 1, 0, 1, 2, 3, 4, 5]


def test_authors_sizes_are_the_default():
    network = RecordingNetwork()
    CentralCropInferer()(torch.zeros(1, 1, 50, 20, 48), network)
    assert [tuple(patch.shape) for patch in network.patches] == [(1, 1, 96, 96, 96)] * 2
