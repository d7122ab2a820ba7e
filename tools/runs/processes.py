"""Over how many processes a training goes: one for each GPU, through torchrun."""

from collections.abc import Iterable
from pathlib import Path

from common.errors import InputError
from common.json_file import read_json
from tools.runs.words import top_key

__all__ = ["check_multi_gpu", "count_processes"]


def count_processes(wanted: int | None) -> int:
    """Processes of each training, by ``--num_processes``; without it one on each GPU, or one without a GPU.

    InputError if there are fewer GPUs, though some; without any, processes share the CPU.
    """
    import torch  # slow to import, and not needed to tell what the verb takes

    num_gpus = torch.cuda.device_count()
    if not wanted:
        return max(num_gpus, 1)
    if 0 < num_gpus < wanted:
        raise InputError(
            f"--num_processes {wanted}: this machine has {num_gpus} GPUs, and every process needs one of its own; give "
            f"{num_gpus} at most"
        )
    return wanted


def check_multi_gpu(bundle: Path, overrides: Iterable[str]) -> None:
    """Refuse what cannot be trained over several processes.

    InputError if the bundle has no multi_gpu_train.json, or an override is a key that it sets for each process.
    """
    path = bundle / "configs/multi_gpu_train.json"
    if not path.is_file():
        raise InputError(f"{path}: no such file, but trainings go over several processes; give --num_processes 1")
    own = {top_key(key) for key in read_json(path)} - {"train", "validate"}
    for key in overrides:
        if top_key(key) in own:
            raise InputError(f"--{key}: {path.name} sets it for each process; leave it out, or give --num_processes 1")
