"""A learned contrast begins as none, and keeps the background."""

import torch
from maskrcnn_2p5d.contrast import LearnedContrast


def test_begins_as_no_change():
    image = torch.randn(2, 1, 5, 5)
    assert torch.equal(LearnedContrast()(image), image)


def test_is_a_power_that_keeps_the_sign():
    contrast = LearnedContrast()
    torch.nn.init.constant_(contrast.log_gamma, torch.tensor(0.5).log())
    torch.nn.init.constant_(contrast.log_contrast, torch.tensor(3.0).log())
    torch.testing.assert_close(contrast(torch.tensor([-4.0, 0, 0.25])), torch.tensor([-6.0, 0, 1.5]))


def test_gradients_are_finite_at_the_background():
    contrast, image = LearnedContrast(), torch.tensor([0.0, 0.5, 1.0], requires_grad=True)
    contrast(image).square().sum().backward()
    assert all(value.grad.isfinite().all() for value in (image, *contrast.parameters()))
    assert contrast.log_gamma.grad != 0 and contrast.log_contrast.grad != 0
