"""A U-Net on an encoder that starts from ImageNet, with Swin blocks at its deep levels and on the way up."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn

from .common.networks.encoders import prepare_encoder
from .common.networks.padding import pad_to_multiple
from .network import CHANNELS, PatchExpanding, block_pair, initialize

__all__ = ["HybridUNet"]

ENCODER = "timm-tf_efficientnet_lite2"
# ImageNet's images, scaled as this encoder expects it, have about this deviation; those of the bundle have 1
DEVIATION = 0.5
MULTIPLE = 32  # the encoder halves an image five times
# where Swin blocks work, from the deepest level up (strides 32, 16, 8), and where convolutions do (4, 2, 1)
SWIN_WIDTHS, CONVOLUTION_WIDTHS = (192, 128, 96), (48, 32, 16)


class HybridUNet(nn.Module):
    """A U-Net whose encoder starts from ImageNet.

    The encoder gives features at strides 2 to 32, a convolution those of the image itself. The deepest features, and
    those that are joined on the way up at strides 16 and 8, go through pairs of Swin blocks, where a window of 7 x 7
    covers a cell and its neighbours. From stride 4 on, where windows would see no more than convolutions do, there are
    convolutions, up to the image's own resolution.

    Parameters
    ----------
    attention : bool
        False puts convolutions in the place of all Swin blocks: the plain U-Net to compare with.
    swin_widths, convolution_widths : sequence of int
        Channels at strides 32, 16, 8, each a multiple of the 4 heads, and at strides 4, 2, 1.

    References
    ----------
    Tan, M. & Le, Q. V. EfficientNet. ICML (2019). Liu, Z. et al. Swin Transformer. ICCV (2021). Ronneberger, O. et al.
    U-Net. MICCAI (2015).
    """

    def __init__(
        self,
        attention: bool = True,
        swin_widths: Sequence[int] = SWIN_WIDTHS,
        convolution_widths: Sequence[int] = CONVOLUTION_WIDTHS,
    ) -> None:
        super().__init__()
        self.architecture, self.encoder_name = ("hybrid" if attention else "unet"), ENCODER
        body = get_encoder(ENCODER, in_channels=3, depth=5, weights=None)
        _, *skips, deepest = body.out_channels
        block = _SwinJoin if attention else _ConvolutionJoin
        self.pixels = _convolution(1, convolution_widths[-1])
        self.bottom = block(0, deepest, swin_widths[0])
        joins = []
        below = swin_widths[0]
        for width, skip in zip(swin_widths[1:], skips[:1:-1], strict=True):
            joins.append(block(below, skip, width))
            below = width
        for width, skip in zip(convolution_widths, [*skips[1::-1], convolution_widths[-1]], strict=True):
            joins.append(_ConvolutionJoin(below, skip, width))
            below = width
        self.joins = nn.ModuleList(joins)
        self.head = nn.Conv2d(below, len(CHANNELS), kernel_size=1)
        self.apply(initialize)
        self.encoder = body
        prepare_encoder(self, body)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of cells, of their depth and of the borders between them.

        Parameters
        ----------
        image : Tensor of float, shape (B, 1, Y, X)
            Gray image, background about 0 and deviation about 1; of any size.

        Returns
        -------
        Tensor of float, shape (B, 3, Y, X)
        """
        height, width = image.shape[-2:]
        image = DEVIATION * pad_to_multiple(image, MULTIPLE)
        _, *skips, deepest = self.encoder(image.repeat(1, 3, 1, 1))
        features = self.bottom(None, deepest)
        for join, skip in zip(self.joins, [*skips[::-1], self.pixels(image)], strict=True):
            features = join(features, skip)
        return self.head(features)[..., :height, :width]


class _SwinJoin(nn.Module):
    """Features from below, expanded, and those of a skip, joined by a linear layer and a pair of Swin blocks."""

    def __init__(self, below: int, skip: int, width: int) -> None:
        super().__init__()
        self.expand = PatchExpanding(below, width, scale=2) if below else None
        self.join = nn.Linear(skip + width * bool(below), width)
        self.norm = nn.LayerNorm(width)
        self.blocks = block_pair(width)

    def forward(self, features: torch.Tensor | None, skip: torch.Tensor) -> torch.Tensor:
        """(B, below, Y, X) or None, and (B, skip, 2 Y, 2 X), to (B, width, 2 Y, 2 X)."""
        joined = skip.permute(0, 2, 3, 1)
        if self.expand is not None and features is not None:
            joined = torch.cat([self.expand(features.permute(0, 2, 3, 1)), joined], dim=-1)
        return self.blocks(self.norm(self.join(joined))).permute(0, 3, 1, 2)


class _ConvolutionJoin(nn.Module):
    """Features from below, twice as large, and those of a skip, joined by two convolutions."""

    def __init__(self, below: int, skip: int, width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(_convolution(below + skip, width), _convolution(width, width))

    def forward(self, features: torch.Tensor | None, skip: torch.Tensor) -> torch.Tensor:
        """(B, below, Y, X) or None, and (B, skip, 2 Y, 2 X), to (B, width, 2 Y, 2 X)."""
        if features is not None:
            skip = torch.cat([F.interpolate(features, scale_factor=2.0, mode="nearest"), skip], dim=1)
        return self.convolutions(skip)


def _convolution(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )
