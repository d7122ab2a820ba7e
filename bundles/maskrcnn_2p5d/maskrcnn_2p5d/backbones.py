"""ResNets with a feature pyramid for gray slices, from random weights or from ones learned on RGB photographs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn
from torchvision.models import ResNet, get_model, get_model_weights
from torchvision.models.detection.backbone_utils import BackboneWithFPN

from .common.errors import InputError
from .common.training.checkpoints import bare_network, read_weights

__all__ = ["BACKBONES", "LEVELS", "EncoderWeightsLoader", "gray_fpn", "load_encoder_weights"]

logger = logging.getLogger(__name__)

BACKBONES = ("resnet18", "resnet50")
# names that torchvision gives the levels of the pyramid, strides 4 to 64; the last is every other pixel of stride 32
LEVELS = ("0", "1", "2", "3", "pool")

_LAYERS = ("layer4", "layer3", "layer2", "layer1", "conv1")  # in the order in which they are set free


def gray_fpn(name: str, in_channels: int, out_channels: int, *, trainable_layers: int = 5) -> BackboneWithFPN:
    """A ResNet of random weights with a feature pyramid, whose first convolution takes gray slices.

    Parameters
    ----------
    name : str
        ``resnet18`` or ``resnet50``.
    in_channels : int
        Slices that enter as channels.
    out_channels : int
        Of every level of the pyramid.
    trainable_layers : int
        How many of layer4, layer3, layer2, layer1 and the first convolution are trained; 5 is all of them.

    Returns
    -------
    BackboneWithFPN
        (B, in_channels, Y, X) in, one (B, out_channels, Y / stride, X / stride) for each of `LEVELS` out.

    Raises
    ------
    InputError
        If there is no such network, or it has not so many layers.
    """
    if name not in BACKBONES:
        raise InputError(f"--backbone {name}: unknown; give one of {', '.join(BACKBONES)}")
    if not 0 <= trainable_layers <= len(_LAYERS):
        raise InputError(f"--trainable_layers {trainable_layers}: give 0 (pyramid and heads only) to {len(_LAYERS)}")
    resnet = get_model(name, weights=None)
    rgb = resnet.conv1
    resnet.conv1 = nn.Conv2d(in_channels, rgb.out_channels, rgb.kernel_size, rgb.stride, rgb.padding, bias=False)
    # as torchvision does for RGB
    nn.init.kaiming_normal_(resnet.conv1.weight, mode="fan_out", nonlinearity="relu")
    _freeze(resnet, trainable_layers)
    levels = {f"layer{number}": LEVELS[number - 1] for number in range(1, 5)}
    deepest = resnet.fc.in_features
    return BackboneWithFPN(resnet, levels, [deepest // 8, deepest // 4, deepest // 2, deepest], out_channels)


def load_encoder_weights(backbone: BackboneWithFPN, name: str, weights: str) -> None:
    """Put weights that were learned on RGB photographs into the ResNet of a `gray_fpn`.

    The first filters are summed over the colours and shared out among the slices, so that equal slices give the same
    response as a gray photograph. The classifier is left out.

    Parameters
    ----------
    backbone : BackboneWithFPN
    name : str
        The ResNet in it, ``resnet18`` or ``resnet50``.
    weights : str
        The word ``imagenet`` (fetched, or taken from torch's cache), or the path of a state_dict of the same ResNet.

    Raises
    ------
    InputError
        If the weights cannot be fetched, or belong to another network; nothing is loaded then.
    """
    state = {key: value for key, value in _read_weights(name, weights).items() if not key.startswith("fc.")}
    resnet = get_model(name, weights=None)
    resnet.fc = nn.Identity()
    try:
        resnet.load_state_dict(state)
    except RuntimeError as error:
        difference = str(error).splitlines()[1].strip()
        raise InputError(
            f"--encoder_weights {weights}: of another network than --backbone {name}: {difference}"
        ) from error
    in_channels = backbone.body.conv1.in_channels
    gray = resnet.conv1.weight.detach().sum(dim=1, keepdim=True) / in_channels
    backbone.body.load_state_dict({**state, "conv1.weight": gray.expand(-1, in_channels, -1, -1)})


class EncoderWeightsLoader:
    """Puts pretrained weights into the ResNet of a `MaskRCNN2p5D` when the engine starts.

    Not when the network is built: a bundle that is opened, verified, exported or used needs no network connection.

    Parameters
    ----------
    network : MaskRCNN2p5D
    name, weights : str
        As for `load_encoder_weights`; with the word ``none`` for weights, random ones stay.
    resume_path : path
        Where this file exists the training goes on from it, and nothing is fetched.

    Raises
    ------
    InputError
        As from `load_encoder_weights`.
    """

    def __init__(self, network: nn.Module, name: str, weights: str, resume_path: str | Path) -> None:
        self.network, self.name, self.weights, self.resume_path = network, name, weights, Path(resume_path)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine | None = None) -> None:
        if self.weights == "none" or self.resume_path.is_file():
            return
        network: Any = bare_network(self.network)
        load_encoder_weights(network.backbone, self.name, self.weights)
        logger.info("%s starts from %s weights", self.name, self.weights)


def _read_weights(name: str, weights: str) -> dict[str, torch.Tensor]:
    if weights == "imagenet":
        try:
            return get_model_weights(name).IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:  # no connection, no room, or half a file
            raise InputError(
                f"the imagenet weights of {name} cannot be fetched ({type(error).__name__}: {error}); connect to the "
                "network once, or give --encoder_weights none for random ones, --encoder_weights PATH of a downloaded "
                "file, or --pretrained True for this bundle's own"
            ) from error
    if not Path(weights).is_file():
        raise InputError(
            f"--encoder_weights {weights}: no such file; give none, imagenet, or the path of a ResNet's weights"
        )
    return read_weights(weights, "cpu", "--encoder_weights")


def _freeze(resnet: ResNet, trainable_layers: int) -> None:
    trained = _LAYERS[:trainable_layers]
    if "conv1" in trained:
        trained = (*trained, "bn1")
    for name, parameter in resnet.named_parameters():
        parameter.requires_grad_(name.split(".")[0] in trained)
