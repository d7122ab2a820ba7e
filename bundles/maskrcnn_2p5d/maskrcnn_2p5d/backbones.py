"""ResNets with a feature pyramid for gray slices, from random weights or from ones learned on RGB photographs."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torchvision.models import ResNet, get_model, get_model_weights
from torchvision.models.detection.backbone_utils import BackboneWithFPN

from .errors import InputError

__all__ = ["BACKBONES", "LEVELS", "gray_fpn"]

BACKBONES = ("resnet18", "resnet50")
# names that torchvision gives the levels of the pyramid, strides 4 to 64; the last is every other pixel of stride 32
LEVELS = ("0", "1", "2", "3", "pool")

_LAYERS = ("layer4", "layer3", "layer2", "layer1", "conv1")  # in the order in which they are set free


def gray_fpn(
    name: str, in_channels: int, out_channels: int, *, weights: str = "none", trainable_layers: int = 5
) -> BackboneWithFPN:
    """A ResNet with a feature pyramid, whose first convolution takes gray slices.

    The filters that were learned on RGB are summed over the colours and shared out among the slices, so that equal
    slices give the same response as a gray photograph.

    Parameters
    ----------
    name : str
        ``resnet18`` or ``resnet50``.
    in_channels : int
        Slices that enter as channels.
    out_channels : int
        Of every level of the pyramid.
    weights : str
        The word ``none``, the word ``imagenet`` (fetched, or taken from torch's cache), or the path of a state_dict
        of the same ResNet; its classifier is left out.
    trainable_layers : int
        How many of layer4, layer3, layer2, layer1 and the first convolution are trained; 5 is all of them.

    Returns
    -------
    BackboneWithFPN
        (B, in_channels, Y, X) in, one (B, out_channels, Y / stride, X / stride) for each of `LEVELS` out.

    Raises
    ------
    InputError
        If there is no such network, or the weights cannot be fetched, or belong to another network.
    """
    if name not in BACKBONES:
        raise InputError(f"--backbone {name}: unknown; give one of {', '.join(BACKBONES)}")
    if not 0 <= trainable_layers <= len(_LAYERS):
        raise InputError(f"--trainable_layers {trainable_layers}: give 0 (pyramid and heads only) to {len(_LAYERS)}")
    resnet = get_model(name, weights=None)
    rgb = resnet.conv1
    gray = nn.Conv2d(in_channels, rgb.out_channels, rgb.kernel_size, rgb.stride, rgb.padding, bias=False)
    nn.init.kaiming_normal_(gray.weight, mode="fan_out", nonlinearity="relu")  # as torchvision does for RGB
    if weights != "none":
        _load(resnet, _read_weights(name, weights), weights)
        with torch.no_grad():
            gray.weight.copy_(rgb.weight.sum(dim=1, keepdim=True) / in_channels)
    resnet.conv1 = gray
    _freeze(resnet, trainable_layers)
    levels = {f"layer{number}": LEVELS[number - 1] for number in range(1, 5)}
    deepest = resnet.fc.in_features
    return BackboneWithFPN(resnet, levels, [deepest // 8, deepest // 4, deepest // 2, deepest], out_channels)


def _read_weights(name: str, weights: str) -> dict[str, torch.Tensor]:
    if weights == "imagenet":
        try:
            return get_model_weights(name).IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:  # no connection, no room, or half a file
            raise InputError(
                f"the imagenet weights of {name} cannot be fetched ({type(error).__name__}: {error}); connect to the "
                "network once, or give --weights none for random ones, or --weights PATH of a downloaded file"
            ) from error
    if not Path(weights).is_file():
        raise InputError(f"--weights {weights}: no such file; give none, imagenet, or the path of a ResNet's weights")
    try:
        return torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is not a checkpoint
        raise InputError(f"--weights {weights}: damaged, or no PyTorch file ({type(error).__name__})") from error


def _load(resnet: ResNet, state: dict[str, torch.Tensor], source: str) -> None:
    """Load all but the classifier, whose place in a detector is empty."""
    if not isinstance(state, dict):
        raise InputError(f"--weights {source}: holds no state_dict; save resnet.state_dict()")
    classifier = {name: value for name, value in resnet.state_dict().items() if name.startswith("fc.")}
    try:
        resnet.load_state_dict({**state, **classifier})
    except RuntimeError as error:
        difference = str(error).splitlines()[1].strip()
        raise InputError(f"--weights {source}: of another network than --backbone asks for: {difference}") from error


def _freeze(resnet: ResNet, trainable_layers: int) -> None:
    trained = _LAYERS[:trainable_layers]
    if "conv1" in trained:
        trained = (*trained, "bn1")
    for name, parameter in resnet.named_parameters():
        parameter.requires_grad_(name.split(".")[0] in trained)
