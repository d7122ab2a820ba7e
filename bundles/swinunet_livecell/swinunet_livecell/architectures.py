"""The networks that the bundle offers, by name."""

from collections.abc import Callable

from torch import nn

from .common.errors import InputError
from .hybrid import HybridUNet
from .network import SwinUNet

__all__ = ["ARCHITECTURES", "build_network"]

ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "unet": lambda: HybridUNet(attention=False),
    "hybrid": HybridUNet,
    "swinunet": SwinUNet,
}


def build_network(architecture: str = "unet") -> nn.Module:
    """A network that is not trained.

    Parameters
    ----------
    architecture : str
        ``unet``: an encoder that starts from ImageNet, and convolutions on the way up. ``hybrid``: the same with Swin
        blocks at its deep levels. ``swinunet``: Swin blocks alone, from scratch.

    Returns
    -------
    Module
        Takes gray images (B, 1, Y, X), gives logits (B, 3, Y, X) of `network.CHANNELS`.

    Raises
    ------
    InputError
        If the architecture is unknown.
    """
    if architecture not in ARCHITECTURES:
        raise InputError(f"--architecture {architecture}: unknown; choose one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[architecture]()
