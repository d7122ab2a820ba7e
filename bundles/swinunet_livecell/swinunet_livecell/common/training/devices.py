"""What makes training and inference fast on a CPU; on a GPU MONAI's own AMP does the work."""

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer
from torch import nn

from ..errors import InputError
from ..malloc import MMAP_MAX, TRIM_THRESHOLD, set_malloc

__all__ = ["AutocastInferer", "has_fast_bfloat16", "to_device"]


def has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; elsewhere emulation makes it slower than float32."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16"))


def to_device(network: nn.Module, device: torch.device | str) -> nn.Module:
    """Move a network to a device in the memory layout that its convolutions, 2D or 3D, are fastest in.

    On a CPU, glibc keeps freed memory: feature maps are hundreds of megabytes, and without this each one
    is mapped and zeroed by the kernel again at every step.
    """
    try:
        network = network.to(device)
    except (RuntimeError, AssertionError) as error:  # of PyTorch without CUDA, or a device that there is not
        reason = str(error).partition("\n")[0]
        raise InputError(f"--device {device}: cannot be used ({reason}); give cpu, or another") from error
    if torch.device(device).type == "cpu":
        set_malloc(MMAP_MAX, 0)
        set_malloc(TRIM_THRESHOLD, 2**31 - 1)
    is_3d = any(isinstance(module, nn.Conv3d) for module in network.modules())
    return network.to(memory_format=torch.channels_last_3d if is_3d else torch.channels_last)


class AutocastInferer(Inferer):
    """Runs another inferer in bfloat16 where the CPU has it, and returns float32.

    MONAI's engines switch autocast on for CUDA only.

    Parameters
    ----------
    inferer : Inferer
        What calls the network.
    enabled : bool
        False runs ``inferer`` alone; so does any device but a CPU with bfloat16 arithmetic.
    """

    def __init__(self, inferer: Inferer, enabled: bool = True) -> None:
        super().__init__()
        self.inferer, self.enabled = inferer, enabled

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        if not (self.enabled and inputs.device.type == "cpu" and has_fast_bfloat16()):
            return self.inferer(inputs, network, *args, **kwargs)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.inferer(inputs, network, *args, **kwargs).float()
