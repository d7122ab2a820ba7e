"""Myelin and axons of a whole image at once, from its embedding, without any prompt."""

from __future__ import annotations

import torch
from segment_anything.modeling.common import LayerNorm2d
from torch import nn

__all__ = ["DENSE_CLASSES", "DenseHead"]

DENSE_CLASSES = ("myelin", "axon")


class DenseHead(nn.Module):
    """Logits of myelin and of axons, upsampled as the mask decoder upsamples its masks.

    What it finds becomes prompts where nobody gives any.

    Parameters
    ----------
    channels : int
        Of the embedding.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(channels, channels // 4, kernel_size=2, stride=2),
            LayerNorm2d(channels // 4),
            nn.GELU(),
            nn.ConvTranspose2d(channels // 4, channels // 8, kernel_size=2, stride=2),
            nn.GELU(),
            nn.Conv2d(channels // 8, len(DENSE_CLASSES), kernel_size=1),
        )

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """Logits (B, 2, 4h, 4w) of `DENSE_CLASSES`, of embeddings (B, channels, h, w)."""
        return self.layers(embedding)
