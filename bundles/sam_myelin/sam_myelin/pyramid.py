"""Segment Anything's embedding, made of what the segmenter sees."""

import torch
import torch.nn.functional as F
from segment_anything.modeling.common import LayerNorm2d
from torch import nn

from .segmenter import FINE_CHANNELS, LEVELS

__all__ = ["EMBEDDING_CHANNELS", "FeaturePyramid"]

EMBEDDING_CHANNELS = 256
CELL = 8  # pixels of the segmenter, which an embedding has one place for
WIDTH = 32


class FeaturePyramid(nn.Module):
    """Features of several resolutions in one embedding, at an eighth of the resolution of what the segmenter sees.

    After Lin, T.-Y. et al., Feature pyramid networks for object detection, CVPR 2017,
    https://arxiv.org/abs/1612.03144, from coarse to fine. The finest features lie at half the segmenter's resolution,
    that of the masks: the 4 x 4 of a place are channels of it, so that thin sheaths are not lost (Shi, W. et al.,
    CVPR 2016, https://arxiv.org/abs/1609.05158, the other way round). Normalisations are over channels: a batch of
    few tiles has no statistics.

    Parameters
    ----------
    img_size : int
        Side of the images that Segment Anything is built for, which it asks its encoder for; any other works too.
    """

    def __init__(self, img_size: int) -> None:
        super().__init__()
        self.img_size = img_size
        self.fine = nn.Sequential(
            nn.Conv2d(FINE_CHANNELS, WIDTH, 3, stride=2, padding=1, bias=False), LayerNorm2d(WIDTH), nn.GELU()
        )
        channels = ((CELL // 2) ** 2 * WIDTH, *LEVELS.values())
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, EMBEDDING_CHANNELS, 1, bias=False), LayerNorm2d(EMBEDDING_CHANNELS))
            for before in channels
        )
        self.smooth = nn.Sequential(
            nn.GELU(), nn.Conv2d(EMBEDDING_CHANNELS, EMBEDDING_CHANNELS, 3, padding=1, bias=False)
        )
        self.norm = LayerNorm2d(EMBEDDING_CHANNELS)

    def forward(self, fine: torch.Tensor, levels: list[torch.Tensor]) -> torch.Tensor:
        """Embeddings (B, 256, Y / 8, X / 8) of what `Segmenter.features` gives for images (B, 3, Y, X)."""
        folded = F.pixel_unshuffle(self.fine(fine), CELL // 2)
        height, width = folded.shape[-2:]
        total = self.laterals[0](folded)
        for stride, lateral, level in zip(LEVELS, self.laterals[1:], levels, strict=True):
            seen = F.interpolate(lateral(level), scale_factor=stride // CELL, mode="bilinear", align_corners=False)
            total = total + seen[..., :height, :width]
        return self.norm(total + self.smooth(total))
