"""A small Swin U-Net for gray images, on torchvision's Swin blocks."""

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.swin_transformer import PatchMerging, SwinTransformerBlock

from .attention import WindowAttention
from .common.networks.padding import pad_to_multiple

__all__ = ["CHANNELS", "PatchExpanding", "SwinUNet", "block_pair", "initialize"]

# what the networks tell of every pixel: whether it is a cell, how deep in one, and whether it is between two
CHANNELS = ("cell", "depth", "border")

PATCH = 4
WINDOW = 7
SHIFT = WINDOW // 2
NUM_HEADS = 4
MLP_RATIO = 4.0
WEIGHT_STD = 0.02  # of the Swin Transformer


def block_pair(width: int) -> nn.Sequential:
    """A Swin block with windows where they are, and one with windows shifted by half; (B, Y, X, width) in and out."""
    return nn.Sequential(
        *(
            SwinTransformerBlock(
                width, NUM_HEADS, [WINDOW] * 2, shift_size=[shift] * 2, mlp_ratio=MLP_RATIO, attn_layer=WindowAttention
            )
            for shift in (0, SHIFT)
        )
    )


class PatchExpanding(nn.Module):
    """The inverse of patch merging: channels become pixels.

    Parameters
    ----------
    width, new_width : int
        Channels before and after.
    scale : int
        How many pixels each pixel becomes along both axes.
    """

    def __init__(self, width: int, new_width: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.expand = nn.Linear(width, new_width * scale**2, bias=False)
        self.norm = nn.LayerNorm(new_width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, Y, X, width) to (B, scale * Y, scale * X, new_width)."""
        channels_first = self.expand(features).permute(0, 3, 1, 2)
        return self.norm(F.pixel_shuffle(channels_first, self.scale).permute(0, 2, 3, 1))


class SwinUNet(nn.Module):
    """A U-Net whose convolutions are pairs of Swin blocks.

    Patches of 4 x 4 pixels are embedded and merged three times; on the way up they are expanded, and each skip is
    joined by concatenation and a linear layer. One pair of blocks at every width of the way down, in the bottleneck
    and at every width of the way up makes 3.04 million parameters, 1.58 of them in the bottleneck; a second pair there
    alone would make it 4.62. Attention is computed in windows of 7 x 7 patches, so at 224 x 224 pixels every level
    (56, 28, 14, 7) is whole windows; at other sizes the blocks add empty patches.

    Parameters
    ----------
    widths : sequence of int
        Channels from the first level to the bottleneck, each twice the one before and a multiple of the 4 heads.

    References
    ----------
    Liu, Z. et al. Swin Transformer. ICCV (2021). Cao, H. et al. Swin-Unet. ECCV workshops (2022).
    """

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 256)) -> None:
        super().__init__()
        self.architecture, self.encoder_name = "swinunet", None
        *levels, deepest = widths
        self.multiple = PATCH * 2 ** len(levels)
        self.embed = nn.Conv2d(1, levels[0], kernel_size=PATCH, stride=PATCH)
        self.embed_norm = nn.LayerNorm(levels[0])
        self.down = nn.ModuleList(block_pair(width) for width in levels)
        self.merge = nn.ModuleList(PatchMerging(width) for width in levels)
        self.bottleneck = block_pair(deepest)
        self.bottleneck_norm = nn.LayerNorm(deepest)
        self.expand = nn.ModuleList(PatchExpanding(2 * width, width, scale=2) for width in levels)
        self.join = nn.ModuleList(nn.Linear(2 * width, width) for width in levels)
        self.up = nn.ModuleList(block_pair(width) for width in levels)
        self.up_norm = nn.LayerNorm(levels[0])
        self.expand_to_pixels = PatchExpanding(levels[0], levels[0], scale=PATCH)
        self.head = nn.Linear(levels[0], len(CHANNELS))  # on channels last, a 1 x 1 convolution
        self.apply(initialize)

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
        image = pad_to_multiple(image, self.multiple)
        features = self.embed_norm(self.embed(image).permute(0, 2, 3, 1))
        skips = []
        for blocks, merge in zip(self.down, self.merge, strict=True):
            skips.append(blocks(features))
            features = merge(skips[-1])
        features = self.bottleneck_norm(self.bottleneck(features))
        for level in reversed(range(len(skips))):
            expanded = self.expand[level](features)
            features = self.up[level](self.join[level](torch.cat([expanded, skips[level]], dim=-1)))
        pixels = self.head(self.expand_to_pixels(self.up_norm(features)))
        return pixels.permute(0, 3, 1, 2)[..., :height, :width]


def initialize(module: nn.Module) -> None:
    """Weights of a linear layer as those of the Swin Transformer start."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=WEIGHT_STD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
