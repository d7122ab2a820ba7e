"""Sliding windows: small volumes in one piece, large ones without seams."""

import pytest
import torch
from torch import nn

from common.inferers import VolumeInferer, window_size
from common.networks.devonet import DevoNet


class Constant(nn.Module):
    """A network that is sure of the same everywhere, and remembers the sizes it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.sizes.append(tuple(image.shape[2:]))
        return torch.full((len(image), 2, *image.shape[2:]), 3.0)


def inferer(*roi_size: int) -> VolumeInferer:
    return VolumeInferer(roi_size=list(roi_size), sw_batch_size=1, overlap=0.25, mode="gaussian")


def test_window_is_the_volume_where_that_is_smaller():
    assert window_size((5, 300, 64), (64, 128, 64)) == (5, 128, 64)


@pytest.mark.parametrize("size", [(8, 12, 16), (5, 7, 9), (1, 1, 1)])
def test_small_volume_is_what_the_network_makes_of_it(size):
    network, image = DevoNet(init_channels=2).eval(), torch.rand(1, 1, *size)
    with torch.no_grad():
        torch.testing.assert_close(inferer(16, 16, 16)(image, network), network(image))


def test_every_voxel_of_a_large_volume_is_covered_without_seams():
    logits = inferer(4, 8, 8)(torch.rand(1, 1, 11, 21, 9), Constant())
    torch.testing.assert_close(logits, torch.full((1, 2, 11, 21, 9), 3.0))


def test_windows_of_a_large_volume_have_one_size():
    network = Constant()
    inferer(8, 8, 8)(torch.rand(1, 1, 3, 20, 8), network)
    assert set(network.sizes) == {(3, 8, 8)}


def test_position_is_kept():
    image = torch.rand(1, 1, 9, 14, 11)
    logits = inferer(4, 8, 8)(image, lambda window: torch.cat([-window, window], dim=1))
    torch.testing.assert_close(logits, torch.cat([-image, image], dim=1))


def test_an_error_leaves_the_window_as_it_was():
    def fail(window):
        raise RuntimeError("out of memory")

    windows = inferer(8, 8, 8)
    with pytest.raises(RuntimeError, match="out of memory"):
        windows(torch.rand(1, 1, 4, 4, 4), fail)
    assert windows.roi_size == [8, 8, 8]


def test_parts_of_an_image_ask_the_network_once_for_a_window_that_both_see(tmp_path):
    image, whole, network = torch.rand(1, 1, 8, 8, 32), inferer(8, 8, 8), DevoNet(init_channels=2).eval()
    asked = []

    def ask(window):
        asked.append(window)
        return network(window)

    def part(start, stop):
        windows = VolumeInferer(
            roi_size=[8, 8, 8], sw_batch_size=1, overlap=0.25, mode="gaussian",
            part={"windows": str(tmp_path), "start": [0, 0, start]},
        )  # fmt: skip
        return windows(image[..., start:stop], ask)

    with torch.no_grad():
        expected = whole(image, network)
        first, second = part(0, 20), part(6, 32)
    assert len(asked) == 5  # which begin at 0, 6, 12, 18 and 24
    torch.testing.assert_close(first[..., :18], expected[..., :18], atol=2e-3, rtol=0)
    torch.testing.assert_close(second[..., 8:], expected[..., 14:], atol=2e-3, rtol=0)
    part(6, 32)
    assert len(asked) == 5


def test_without_a_folder_a_part_keeps_nothing():
    network = Constant()
    windows = VolumeInferer([8, 8, 8], part={"start": [0, 0, 40]})
    assert windows(torch.rand(1, 1, 8, 8, 8), network).shape == (1, 2, 8, 8, 8) and len(network.sizes) == 1
