"""Fast arithmetic on a CPU changes speed and not results."""

import pytest
import torch
from monai.inferers import SimpleInferer

from common.errors import InputError
from common.networks.devonet import DevoNet
from common.training import devices
from common.training.devices import AutocastInferer, to_device


@pytest.fixture
def with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any CPU can emulate bfloat16, so every machine tests what the fast ones do."""
    monkeypatch.setattr(devices, "has_fast_bfloat16", lambda: True)


@pytest.mark.parametrize(
    ("is_fast", "enabled", "dtype"),
    [(True, True, torch.bfloat16), (True, False, torch.float32), (False, True, torch.float32)],
)
def test_logits_are_float32_though_computed_in_bfloat16_where_that_is_fast(monkeypatch, is_fast, enabled, dtype):
    monkeypatch.setattr(devices, "has_fast_bfloat16", lambda: is_fast)
    network, dtypes = DevoNet(init_channels=2).eval(), []
    network.head.register_forward_hook(lambda module, inputs, output: dtypes.append(output.dtype))
    with torch.no_grad():
        logits = AutocastInferer(SimpleInferer(), enabled=enabled)(torch.rand(1, 1, 8, 8, 8), network)
    assert (dtypes, logits.dtype) == ([dtype], torch.float32)


def test_bfloat16_stays_close_to_float32(with_bfloat16):
    network, image = DevoNet(init_channels=4).eval(), torch.rand(1, 1, 8, 8, 8)
    with torch.no_grad():
        expected = network(image)
        found = AutocastInferer(SimpleInferer())(image, network)
    assert (found - expected).abs().max() < 0.03 * expected.abs().max()


def test_gradients_flow_through_bfloat16(with_bfloat16):
    network = DevoNet(init_channels=2)  # 2x2x2 feature maps, as 8x8x8 gives, sometimes get inf from PyTorch's kernel
    AutocastInferer(SimpleInferer())(torch.rand(2, 1, 16, 16, 16), network).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


def test_memory_layout_leaves_the_logits():
    network, image = DevoNet(init_channels=2).eval(), torch.rand(1, 1, 8, 8, 8)
    with torch.no_grad():
        expected = network(image)
        torch.testing.assert_close(to_device(network, "cpu")(image), expected)


@pytest.mark.parametrize("device", ["cuda:99", "nowhere"])
def test_a_device_that_there_is_not_is_told(device):
    with pytest.raises(InputError, match=f"--device {device}: cannot be used .*; give cpu, or another"):
        to_device(DevoNet(init_channels=2), device)
