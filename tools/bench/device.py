"""What a benchmark ran on."""

from __future__ import annotations

import torch

__all__ = ["describe_device"]


def describe_device() -> str:
    """Name of the GPU, or CPU, and number of threads."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return f"{name}, {torch.get_num_threads()} threads"
