"""Networks that stand in for the two trained ones of nuclei in volumes: background, and nucleus or its centre."""

import torch

__all__ = ["BrightIsNucleus", "EverythingIsNucleus"]


class BrightIsNucleus(torch.nn.Module):
    """Sure of what is brighter than the middle."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return 20 * torch.cat([0.5 - image, image - 0.5], dim=1)


class EverythingIsNucleus(torch.nn.Module):
    """Was misled."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(image), torch.ones_like(image)], dim=1)
