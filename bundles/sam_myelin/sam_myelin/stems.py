"""Convolutions that make tokens of an image, for a vision transformer that learns from few images."""

import itertools

import torch
from torch import nn

__all__ = ["ConvStem"]

WIDTHS = (32, 64, 128)  # at half, a quarter and an eighth of the image's resolution


class ConvStem(nn.Module):
    """Tokens of 16 x 16 pixels, made by 3 x 3 convolutions of stride 2.

    In place of one convolution of 16 x 16 pixels: trained from random weights on a dozen micrographs, that one needs
    far longer until it tells myelin from axoplasm. After Xiao et al., Early convolutions help transformers see better,
    NeurIPS 2021, https://arxiv.org/abs/2106.14881. Tokens are normalised too, or the layers after them would begin with
    nearly the same numbers everywhere.

    Parameters
    ----------
    width : int
        Channels of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = (3, *WIDTHS, width)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Tokens (B, h, w, width) of images (B, 3, 16 h, 16 w)."""
        return self.layers(image).permute(0, 2, 3, 1)
