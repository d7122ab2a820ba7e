"""Several trained networks that vote together."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from .common.errors import InputError
from .common.training.checkpoints import WeightsLoader
from .common.training.devices import to_device
from .network import CryptNet

__all__ = ["load_members"]

KEYS = ("architecture", "encoder", "patch_size", "ckpt_path")


def load_members(members: Sequence[Mapping[str, Any]], device: torch.device) -> list[nn.Module]:
    """Networks with their weights, ready to infer.

    Parameters
    ----------
    members : sequence of mapping
        For each network its ``ckpt_path`` and, where they are not the defaults of `CryptNet`, ``architecture``,
        ``encoder`` and ``patch_size``.
    device : device
        Where the networks go.

    Returns
    -------
    list of Module

    Raises
    ------
    InputError
        If a key is unknown or ``ckpt_path`` missing, or a checkpoint does not belong to its network.
    """
    if not isinstance(members, (list, tuple)) or not all(isinstance(member, Mapping) for member in members):
        raise InputError(f"--ensemble {members}: expected a list of mappings such as [{{'ckpt_path': 'model.pt'}}]")
    networks = []
    for member in members:
        unknown = sorted(set(member) - set(KEYS))
        if unknown or "ckpt_path" not in member:
            found = f"unknown {', '.join(unknown)}" if unknown else "no ckpt_path"
            raise InputError(f"--ensemble: {found} in {dict(member)}; a member has {', '.join(KEYS)}")
        options = {key: value for key, value in member.items() if key != "ckpt_path"}
        network = to_device(CryptNet(**options), device)
        WeightsLoader(member["ckpt_path"], network, device)()
        networks.append(network.eval())
    return networks
