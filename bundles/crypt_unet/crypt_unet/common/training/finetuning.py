"""Starting from weights of another training: layers that fit are loaded, and chosen ones are frozen."""

import logging
import os
import re
from typing import Any

import torch
from monai.networks.utils import copy_model_state
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import InputError
from .checkpoints import bare_network, find_differences, read_weights

__all__ = ["FinetuneLoader", "freeze"]

logger = logging.getLogger(__name__)


class FinetuneLoader:
    """Loads what fits of a bundle's weights, and lists what does not.

    A parameter or buffer fits if the network has one of the same name and shape. The rest of the network keeps its
    random start: other classes, channels or layers than those of the checkpoint are learned anew.

    Parameters
    ----------
    load_path : path
        A plain state_dict of this bundle's network; the word ``none`` keeps the network as it is.
    network : Module
    map_location : device
        Where the weights go, so that a GPU's checkpoint opens on a CPU.

    Raises
    ------
    InputError
        When it is called, if the file is missing, is not a state_dict, or nothing in it fits.
    """

    def __init__(self, load_path: str | os.PathLike[str], network: nn.Module, map_location: torch.device | str) -> None:
        self.load_path, self.network, self.map_location = str(load_path), network, map_location

    def __call__(self) -> None:
        if self.load_path == "none":
            return
        weights = read_weights(self.load_path, self.map_location, option="--finetune_checkpoint")
        network = bare_network(self.network)
        state, taken, _ = copy_model_state(network, weights, inplace=False)
        if not taken:
            raise InputError(
                f"{self.load_path}: none of its {len(weights)} tensors fits this network; "
                "give weights of this bundle to --finetune_checkpoint"
            )
        network.load_state_dict(state)
        logger.info("fine-tuning from %s: %d of the network's %d tensors", self.load_path, len(taken), len(state))
        for name, reason in find_differences(network, weights).items():
            logger.warning("not taken over: %s, %s", name, reason)


def freeze(network: nn.Module, pattern: str) -> nn.Module:
    """Freeze the parameters whose names match in the training to come.

    A batch normalization whose parameters are all frozen keeps its statistics too.

    Parameters
    ----------
    network : Module
        Changed in place.
    pattern : str
        Regular expression for how names of parameters begin, such as ``encoder`` or ``(encoder|stem)``; the word
        ``none`` freezes nothing.

    Returns
    -------
    Module
        The network itself.

    Raises
    ------
    InputError
        If the pattern is not a regular expression, or matches no parameter, or leaves none to train.
    """
    if pattern == "none":
        return network
    try:
        matches = re.compile(pattern).match
    except (re.error, TypeError) as error:
        raise InputError(f"--freeze {pattern}: not a regular expression ({error})") from error
    frozen = [name for name, weights in network.named_parameters() if matches(name)]
    if not frozen:
        starts = ", ".join(dict.fromkeys(name.partition(".")[0] for name, _ in network.named_parameters()))
        raise InputError(f"--freeze {pattern}: no parameter begins like this; they begin with {starts}")
    for name in frozen:
        network.get_parameter(name).requires_grad_(False)
    if not any(weights.requires_grad for weights in network.parameters()):
        raise InputError(f"--freeze {pattern}: leaves nothing to train; give a pattern that fewer parameters match")
    for name, module in network.named_modules():
        own = [f"{name}.{parameter}" for parameter, _ in module.named_parameters(recurse=False)]
        if isinstance(module, _BatchNorm) and own and set(own) <= set(frozen):
            module.register_forward_pre_hook(_keep_statistics)
    logger.info("frozen: %d of %d parameter tensors", len(frozen), sum(1 for _ in network.parameters()))
    return network


def _keep_statistics(module: nn.Module, inputs: Any) -> None:
    module.eval()
