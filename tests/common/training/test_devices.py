"""Fast arithmetic on a CPU changes speed and not results."""

import pytest
import torch
from monai.inferers import SimpleInferer

from common.networks.devonet import DevoNet
from common.training import devices as acceleration
from common.training.devices import AutocastInferer, to_device


@pytest.fixture
def with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any CPU can emulate bfloat16, so every machine tests what the fast ones do."""
    monkeypatch.setattr(acceleration, "has_fast_bfloat16", lambda: True)


def remember_dtypes(network: torch.nn.Module) -> list[torch.dtype]:
    dtypes = []
    network.head.register_forward_hook(lambda module, inputs, output: dtypes.append(output.dtype))
    return dtypes


def test_logits_are_float32_though_computed_in_bfloat16(with_bfloat16):
    network = DevoNet(init_channels=2).eval()
    dtypes = remember_dtypes(network)
    with torch.no_grad():
        logits = AutocastInferer(SimpleInferer())(torch.rand(1, 1, 8, 8, 8), network)
    assert (dtypes, logits.dtype) == ([torch.bfloat16], torch.float32)


def test_bfloat16_stays_close_to_float32(with_bfloat16):
    network, image = DevoNet(init_channels=4).eval(), torch.rand(1, 1, 8, 8, 8)
    with torch.no_grad():
        expected = network(image)
        found = AutocastInferer(SimpleInferer())(image, network)
    assert (found - expected).abs().max() < 0.03 * expected.abs().max()


def test_off_is_off(with_bfloat16):
    network = DevoNet(init_channels=2).eval()
    dtypes = remember_dtypes(network)
    with torch.no_grad():
        AutocastInferer(SimpleInferer(), enabled=False)(torch.rand(1, 1, 4, 4, 4), network)
    assert dtypes == [torch.float32]


def test_slow_emulation_is_not_used(monkeypatch):
    monkeypatch.setattr(acceleration, "has_fast_bfloat16", lambda: False)
    network = DevoNet(init_channels=2).eval()
    dtypes = remember_dtypes(network)
    with torch.no_grad():
        AutocastInferer(SimpleInferer())(torch.rand(1, 1, 4, 4, 4), network)
    assert dtypes == [torch.float32]


def test_gradients_flow_through_bfloat16(with_bfloat16):
    network = DevoNet(init_channels=2)  # 2x2x2 feature maps, as 8x8x8 gives, sometimes get inf from PyTorch's kernel
    AutocastInferer(SimpleInferer())(torch.rand(2, 1, 16, 16, 16), network).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


def test_memory_layout_leaves_the_logits():
    network, image = DevoNet(init_channels=2).eval(), torch.rand(1, 1, 8, 8, 8)
    with torch.no_grad():
        expected = network(image)
        torch.testing.assert_close(to_device(network, "cpu")(image), expected)
