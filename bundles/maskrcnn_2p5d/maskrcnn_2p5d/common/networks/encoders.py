"""Networks around a pretrained encoder, prepared for a training of a few hours."""

from typing import Any

from torch import nn

__all__ = ["parameter_groups", "prepare_encoder"]

BATCH_NORM_MOMENTUM = 0.1


def prepare_encoder(network: nn.Module, encoder: Any) -> None:
    """Let normalizations adapt quickly, and exclude layers that give no feature from the training.

    Parameters
    ----------
    network : Module
        EfficientNet's momentum of 0.01 is made for weeks of training; after hours its running statistics would lag
        behind.
    encoder : Module or None
        The network's encoder, of segmentation-models-pytorch. EfficientNet's last layer makes no feature, and
        DistributedDataParallel wants all that is trained to be used.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = BATCH_NORM_MOMENTUM
    if hasattr(encoder, "conv_head"):
        encoder.conv_head.requires_grad_(False)
        encoder.bn2.requires_grad_(False)


def parameter_groups(network: nn.Module, encoder_learning_rate: float) -> list[dict[str, object]]:
    """Parameters for an optimizer: the pretrained encoder has its own learning rate.

    Parameters
    ----------
    network : Module
        Also inside what wraps it in a training over several processes.
    encoder_learning_rate : float
        Of what is named ``encoder``; the rest of the network learns at the rate of the optimizer.
    """
    named = list(network.named_parameters())
    encoder = [parameter for name, parameter in named if ".encoder." in f".{name}"]
    others = [parameter for name, parameter in named if ".encoder." not in f".{name}"]
    groups: list[dict[str, Any]] = [{"params": others}, {"params": encoder, "lr": encoder_learning_rate}]
    return [group for group in groups if group["params"]]
