"""A training over several processes: one GPU each, or gloo on CPUs."""

import torch
import torch._dynamo  # must come before the process group: what it caches keeps an existing group alive for ever
from monai.data import Dataset, DistributedSampler
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from .devices import to_device

__all__ = ["join_processes", "leave_processes", "to_distributed", "validation_sampler"]


def join_processes(device: torch.device) -> None:
    """Meet the other processes that ``torchrun`` started; ``device`` is what this one works on."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")


def to_distributed(network: nn.Module, device: torch.device) -> DistributedDataParallel:
    """`to_device`, then wrapped for a training over several processes."""
    network = to_device(network, device)
    return DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)


def validation_sampler(dataset: Dataset) -> DistributedSampler | None:
    """Shares a data set out over the processes, each item once.

    None, with which every process validates all of it, where there are fewer items than processes: one that has no
    item has no score either, and the others would wait for it.
    """
    if len(dataset) < torch.distributed.get_world_size():
        return None
    return DistributedSampler(dataset, even_divisible=False, shuffle=False)


def leave_processes(network: DistributedDataParallel) -> None:
    """End what `join_processes` began; ``network`` cannot be trained any more.

    As long as anything holds the group, gloo's threads outlive ``destroy_process_group``, and one that still tidies up
    after a collective when Python shuts down aborts the whole training after its last epoch ("terminate called without
    an active exception").
    """
    torch.distributed.barrier()
    network.reducer = network.logger = network.process_group = None  # type: ignore[assignment]  # while it trains they never are
    torch.distributed.destroy_process_group()
