"""An encoder that starts from ImageNet with a feature pyramid, for gray slices."""

from typing import cast

import torch
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from .common.errors import InputError
from .common.networks.encoders import prepare_encoder

__all__ = ["ENCODERS", "LEVELS", "GrayFPN"]

ENCODERS = (
    "timm-tf_efficientnet_lite0",
    "timm-tf_efficientnet_lite1",
    "timm-tf_efficientnet_lite2",
    "resnet18",
    "resnet50",
)
# names that torchvision gives the levels of the pyramid, strides 4 to 64; the last is every other pixel of stride 32
LEVELS = ("0", "1", "2", "3", "pool")
COLOURS = 3  # what an encoder of photographs takes


class GrayFPN(nn.Module):
    """Feature pyramid over an encoder of photographs.

    A learned mixture of the slices that enter as channels makes the three colours that the encoder takes. It begins as
    their mean in each colour, so that equal slices look like a gray photograph.

    Parameters
    ----------
    encoder_name : str
        One of `ENCODERS`, as segmentation-models-pytorch names them; of random weights.
    in_channels : int
        Slices that enter as channels.
    out_channels : int
        Of every level of the pyramid.

    Raises
    ------
    InputError
        If there is no such encoder.

    References
    ----------
    Lin, T.-Y. et al. Feature Pyramid Networks. CVPR (2017). Tan, M. & Le, Q. V. EfficientNet. ICML (2019).
    """

    def __init__(self, encoder_name: str, in_channels: int, out_channels: int) -> None:
        super().__init__()
        if encoder_name not in ENCODERS:
            raise InputError(f"--encoder {encoder_name}: unknown; give one of {', '.join(ENCODERS)}")
        self.colours = nn.Conv2d(in_channels, COLOURS, kernel_size=1)
        nn.init.constant_(self.colours.weight, 1 / in_channels)
        nn.init.zeros_(cast(torch.Tensor, self.colours.bias))
        self.encoder = get_encoder(encoder_name, in_channels=COLOURS, depth=5, weights=None)
        prepare_encoder(self, self.encoder)
        # strides 4 to 32; what comes before is the image and its half
        self.fpn = FeaturePyramidNetwork(self.encoder.out_channels[2:], out_channels, extra_blocks=LastLevelMaxPool())
        self.out_channels = out_channels  # torchvision's detectors ask for it

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features of slices.

        Parameters
        ----------
        image : Tensor of float, shape (B, in_channels, Y, X)

        Returns
        -------
        dict of str to Tensor
            (B, out_channels, Y / stride, X / stride) for each of `LEVELS`.
        """
        features = self.encoder(self.colours(image))[2:]
        return self.fpn(dict(zip(LEVELS[:-1], features, strict=True)))
