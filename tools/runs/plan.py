"""Which trainings and evaluations there are: every value of a knob on every fold, or the folds alone.

A training goes over one process for each GPU, through torchrun.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError
from common.json_file import read_json
from tools.runs.steps import Step, Training
from tools.runs.words import top_key

__all__ = ["Plan", "check_multi_gpu", "count_processes", "validation_override"]

DATA = "validate#dataset#data"
SAFE_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_+.-]{0,79}")
MAX_LENGTH = 40


@dataclass(frozen=True)
class Plan:
    """The trainings of one bundle, on which data, and where the results go.

    Attributes
    ----------
    bundle, dataset_dir, output_dir : Path
    folds : tuple of int
    splits : tuple of str
        What the trained networks are evaluated on: ``validation``, ``testing``.
    overrides : mapping of str to str
        Keys of train.json -> value.
    knob, values : str, tuple of str
        The key of train.json that is compared, and its values; without one, empty, and one empty word.
    num_processes : int
        Over how many processes each training goes.
    """

    bundle: Path
    dataset_dir: Path
    output_dir: Path
    folds: tuple[int, ...]
    splits: tuple[str, ...]
    overrides: Mapping[str, str]
    knob: str = ""
    values: tuple[str, ...] = ("",)
    num_processes: int = 1

    def training(self, fold: int, value: str = "") -> Training:
        """The training of a value that leaves out a fold."""
        return Training(
            title=f"{f'{self.knob} {value}' if self.knob else self.bundle.name}, fold {fold}",
            bundle=self.bundle,
            dataset_dir=self.dataset_dir,
            folder=self.output_dir / (_folder_name(value) if self.knob else "") / f"fold_{fold}",
            fold=fold,
            overrides=dict(sorted(self.overrides.items())),  # in another order it is the same command
            varied={self.knob: value} if self.knob else {},
        )

    def chains(self) -> Iterator[tuple[Step, ...]]:
        """A training and its evaluations, of every value on every fold; no chain needs another one."""
        for value in self.values:
            for training in (self.training(fold, value) for fold in self.folds):
                configs = {"validation": [self.validation_config]}
                evaluations = (training.evaluate(split, *configs.get(split, [])) for split in self.splits)
                yield training.train(num_processes=self.num_processes), *evaluations

    @property
    def validation_config(self) -> Path:
        """The config file with `validation_override`."""
        return self.output_dir / "validation.json"


def validation_override(bundle: Path) -> dict[str, object]:
    """Content of a config file that turns an evaluation on ``testing`` into one on the fold left out of the training.

    The ``evaluation_items`` that the bundle's evaluate.json takes become ``validation_items``; InputError if it takes
    others.
    """
    path = bundle / "configs/evaluate.json"
    data = read_json(path).get(DATA)
    module, _, function = str(data.get("_target_", "") if isinstance(data, dict) else "").rpartition(".")
    if not isinstance(data, dict) or function != "evaluation_items":
        raise InputError(
            f"{path}: {DATA} is {json.dumps(data)}, expected the _target_ PACKAGE.common.items.evaluation_items, "
            "in whose place validation_items can stand"
        )
    return {DATA: data | {"_target_": f"{module}.validation_items", "fold": "@fold"}}


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


def _folder_name(value: str) -> str:
    """A name for the folder of a value: itself, or where that is no safe name, what is safe of it and a checksum."""
    if SAFE_NAME.fullmatch(value):
        return value
    kept = re.sub(r"[^A-Za-z0-9_+.-]+", "_", value).strip("_.")[:MAX_LENGTH]
    return f"{kept}_{hashlib.sha256(value.encode()).hexdigest()[:8]}"
