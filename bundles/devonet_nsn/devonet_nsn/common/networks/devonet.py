"""DevoNet: the 3D encoder-decoder behind QCANet's nuclear segmentation (NSN) and detection (NDN) networks."""

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["DevoNet"]


class ConvBlock(nn.Sequential):
    """Two same-padded convolutions, each with batch normalisation and ReLU."""

    def __init__(self, in_channels: int, mid_channels: int, out_channels: int, kernel_size: int) -> None:
        layers: list[nn.Module] = []
        for source, target in ((in_channels, mid_channels), (mid_channels, out_channels)):
            layers += [
                nn.Conv3d(source, target, kernel_size, padding=kernel_size // 2),
                nn.BatchNorm3d(target),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class DevoNet(nn.Module):
    """3D encoder-decoder of QCANet, for volumes of any size.

    Level 0 turns the input into ``init_channels`` and then twice as many channels; each of the ``depth`` deeper
    levels halves the resolution and doubles the channels. The decoder goes back up with transposed convolutions and
    takes the encoder's output of the same level in by concatenation. NSN is ``DevoNet(depth=2, init_channels=16,
    kernel_size=3)`` (1.15 M parameters), NDN ``DevoNet(depth=4, init_channels=12, kernel_size=5)`` (44.5 M).

    Parameters
    ----------
    depth : int
        Number of times the resolution is halved.
    in_channels, out_channels : int
        Channels of the image and of the logits.
    init_channels : int
        Channels of the first convolution; all other widths follow.
    kernel_size : int
        Odd edge length of every convolution but the head.

    Raises
    ------
    ValueError
        If ``depth`` is below 1 or ``kernel_size`` is even.

    References
    ----------
    .. [1] Tokuoka et al. (2020), "3D convolutional neural networks-based segmentation to acquire quantitative criteria
       of the nucleus during mouse embryogenesis", doi:10.1038/s41540-020-00152-8
    """

    def __init__(
        self, depth: int = 2, in_channels: int = 1, out_channels: int = 2, init_channels: int = 16, kernel_size: int = 3
    ) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"depth is {depth}, expected at least 1")
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}, expected an odd number (same padding)")
        self.divisor = 2**depth
        skips = [init_channels * 2 ** (level + 1) for level in range(depth + 1)]
        self.encoder = nn.ModuleList([ConvBlock(in_channels, init_channels, skips[0], kernel_size)])
        self.encoder.extend(ConvBlock(width, width, 2 * width, kernel_size) for width in skips[:-1])
        self.pool = nn.MaxPool3d(2)
        self.upsample = nn.ModuleList(nn.ConvTranspose3d(width, width, 2, stride=2) for width in skips[:0:-1])
        self.decoder = nn.ModuleList(ConvBlock(3 * width, width, width, kernel_size) for width in skips[-2::-1])
        self.head = nn.Conv3d(skips[0], out_channels, 1)
        self.apply(_init_he)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of every voxel.

        Parameters
        ----------
        image : Tensor of float, shape (B, in_channels, Z, Y, X)
            Intensities, scaled per volume. Z, Y and X are free: the image is padded to a multiple of ``2**depth`` by
            repeating its border, and the logits are cropped back.

        Returns
        -------
        Tensor of float, shape (B, out_channels, Z, Y, X)
        """
        depth, height, width = image.shape[2:]
        x = F.pad(
            image, [0, -width % self.divisor, 0, -height % self.divisor, 0, -depth % self.divisor], mode="replicate"
        )
        skips: list[torch.Tensor] = []
        for level, encode in enumerate(self.encoder):
            x = encode(x if level == 0 else self.pool(x))
            skips.append(x)
        skips.pop()
        for upsample, decode in zip(self.upsample, self.decoder):  # noqa: B905 (TorchScript has no strict)
            x = decode(torch.cat([upsample(x), skips.pop()], dim=1))
        return self.head(x)[:, :, :depth, :height, :width]


def _init_he(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
