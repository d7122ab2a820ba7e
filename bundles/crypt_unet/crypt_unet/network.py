"""The networks that the bundle offers, behind one interface: RGB as read from a file in, logits out."""

import difflib
from collections.abc import Sequence

import segmentation_models_pytorch as smp
import timm
import torch
from monai.networks.nets import UNETR
from segmentation_models_pytorch.encoders import get_encoder_names
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn

from .common.errors import InputError
from .common.networks.encoders import prepare_encoder
from .common.networks.padding import repeat_border

__all__ = ["ARCHITECTURES", "CHANNELS", "CryptNet", "build_body"]

# predicted for every pixel: whether it lies in a crypt, and whether deep in one, where no other touches it
CHANNELS = ("crypt", "core")

# architecture -> the encoder that the word "default" stands for; UNETR has its own
ARCHITECTURES = {
    "unet": "timm-tf_efficientnet_lite2",
    "unetpp": "timm-tf_efficientnet_lite2",
    "deeplabv3plus": "timm-tf_efficientnet_lite2",
    "unetr": None,
}
SMP_CLASSES = {"unet": smp.Unet, "unetpp": smp.UnetPlusPlus, "deeplabv3plus": smp.DeepLabV3Plus}
# half as wide as usual: a training step takes 0.6 of the time, and there are few slides to learn from
DECODER_CHANNELS = (96, 64, 32, 16, 16)
# all of them halve the image five times, or cut it into 16 x 16
MULTIPLE = 32
# encoders of segmentation-models-pytorch itself whose weights were not made with ImageNet's usual mean and deviation
OTHER_COLOURS = ("inception", "xception", "dpn")


def encoder_name(architecture: str, encoder: str = "default") -> str | None:
    """Name of the encoder in segmentation-models-pytorch.

    Parameters
    ----------
    architecture : str
        One of `ARCHITECTURES`.
    encoder : str
        A name, or the word ``default``.

    Returns
    -------
    str or None
        None for UNETR.

    Raises
    ------
    InputError
        If the architecture is unknown, or an encoder is named for UNETR.
    """
    if architecture not in ARCHITECTURES:
        raise InputError(f"--architecture {architecture}: unknown; choose one of {', '.join(ARCHITECTURES)}")
    if encoder == "default":
        return ARCHITECTURES[architecture]
    if encoder.startswith(OTHER_COLOURS):
        raise InputError(f"--encoder {encoder}: its weights expect other colours; take timm's, tu-{encoder}")
    if ARCHITECTURES[architecture] is None:
        raise InputError(f"--encoder {encoder}: {architecture} has an encoder of its own; leave the knob out")
    return encoder


def build_body(architecture: str, encoder: str | None, patch_size: Sequence[int]) -> nn.Module:
    """One of the networks, untrained, without what `CryptNet` puts around it.

    Parameters
    ----------
    architecture : str
        One of `ARCHITECTURES`.
    encoder : str or None
        As `encoder_name` gives it.
    patch_size : sequence of int
        Height and width of UNETR's input; the other networks take any.

    Returns
    -------
    Module
        Takes (B, 3, Y, X), gives logits (B, 2, Y, X).

    Raises
    ------
    InputError
        If the encoder is unknown or does not fit the architecture.
    """
    if encoder is None:
        return UNETR(
            in_channels=3,
            out_channels=len(CHANNELS),
            img_size=tuple(patch_size),
            feature_size=16,
            hidden_size=384,
            mlp_dim=768,
            num_heads=6,
            norm_name="batch",
            dropout_rate=0.2,
            spatial_dims=2,
        )
    deeplab = architecture == "deeplabv3plus"
    options = {"encoder_output_stride": 16} if deeplab else {"decoder_channels": DECODER_CHANNELS}
    try:
        return SMP_CLASSES[architecture](encoder, encoder_weights=None, in_channels=3, classes=len(CHANNELS), **options)
    except (KeyError, ValueError, RuntimeError) as error:
        close = difflib.get_close_matches(encoder, get_encoder_names(), n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "give one of segmentation-models-pytorch"
        raise InputError(f"--encoder {encoder}: does not fit {architecture}; {hint}") from error


class CryptNet(nn.Module):
    """A segmentation network that takes RGB as it comes from a file.

    Scaling the colours as the encoder expects, and padding to a size that it can halve, are part of the network, so no
    user of exported weights can forget them.

    Parameters
    ----------
    architecture : str
        ``unet``, ``unetpp``, ``deeplabv3plus`` or ``unetr``.
    encoder : str
        Encoder of segmentation-models-pytorch, or the word ``default`` for that of the architecture.
    patch_size : sequence of int
        Height and width of the training patches in pixels, both multiples of 32; only UNETR depends on it.

    Raises
    ------
    InputError
        If architecture and encoder are unknown or do not belong together, or UNETR's size is impossible.

    References
    ----------
    Ronneberger, O. et al. U-Net. MICCAI (2015). Zhou, Z. et al. UNet++. DLMIA (2018). Chen, L.-C. et al.
    Encoder-decoder with atrous separable convolution (DeepLabv3+). ECCV (2018). Hatamizadeh, A. et al. UNETR. WACV
    (2022).
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self, architecture: str = "unet", encoder: str = "default", patch_size: Sequence[int] = (256, 256)
    ) -> None:
        super().__init__()
        self.architecture, self.encoder_name = architecture, encoder_name(architecture, encoder)
        self.fixed_size = tuple(patch_size) if self.encoder_name is None else None
        if self.fixed_size and any(size % MULTIPLE for size in self.fixed_size):
            raise InputError(f"--patch_size {list(patch_size)}: {architecture} needs multiples of {MULTIPLE}")
        self.body = build_body(architecture, self.encoder_name, patch_size)
        prepare_encoder(self.body, getattr(self.body, "encoder", None))
        mean, std = _colour_scale(self.encoder_name)
        self.register_buffer("mean", 255 * torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std)[:, None, None], persistent=False)

    @property
    def encoder(self) -> nn.Module:
        """What pretrained weights go into."""
        return self.body.encoder  # type: ignore[return-value]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of crypts and of their cores.

        Parameters
        ----------
        image : Tensor, shape (B, 3, Y, X)
            RGB from 0 to 255, of any dtype.

        Returns
        -------
        Tensor of float, shape (B, 2, Y, X)
        """
        height, width = image.shape[-2:]
        if self.fixed_size:
            below, beside = self.fixed_size[0] - height, self.fixed_size[1] - width
            if min(below, beside) < 0:
                raise InputError(
                    f"unetr was built for {self.fixed_size[0]} x {self.fixed_size[1]} pixels, got {height} x {width}; "
                    "give the --patch_size that it was trained with, and no larger --roi_size"
                )
        else:
            below, beside = -height % MULTIPLE, -width % MULTIPLE
        scaled = (image.to(self.mean.dtype) - self.mean) / self.std
        return self.body(repeat_border(scaled, below, beside))[..., :height, :width]


def _colour_scale(encoder: str | None) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation of the colours, from 0 to 1, that an encoder's ImageNet weights were made with."""
    if encoder is None or not encoder.startswith(("tu-", "timm-tf_")):
        return IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
    settings = timm.models.get_pretrained_cfg(encoder.removeprefix("tu-").removeprefix("timm-"))
    return (settings.mean, settings.std) if settings else (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
