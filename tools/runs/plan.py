"""Which commands a comparison consists of, as a user would type them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.errors import InputError
from tools.runs.choices import read_json
from tools.runs.knobs import folder_name

__all__ = ["RUN", "Plan", "Step", "as_words", "bundle_root", "common_words", "steps", "validation_override"]

RUN = ("python", "-m", "monai.bundle", "run")
TORCHRUN = ("python", "-m", "torch.distributed.run", "--standalone")
DATA = "validate#dataset#data"


@dataclass(frozen=True)
class Plan:
    """What is compared, on which data, and where the results go.

    Attributes
    ----------
    bundle, dataset_dir, output_dir : Path
    knob : str
        The key of train.json that is compared; empty where only folds are.
    values : tuple of str
        Its values; without a knob one empty word.
    folds : tuple of int
    splits : tuple of str
        What the trained networks are evaluated on: ``validation``, ``testing``.
    overrides : mapping of str to str
        Further keys of train.json -> value.
    num_processes : int
        Over how many processes each training goes; with more than one by the bundle's multi_gpu_train.json.
    """

    bundle: Path
    dataset_dir: Path
    output_dir: Path
    knob: str
    values: tuple[str, ...]
    folds: tuple[int, ...]
    splits: tuple[str, ...]
    overrides: Mapping[str, str]
    num_processes: int = 1

    def folder(self, value: str, fold: int) -> Path:
        """Where a training writes its weights; its evaluations have folders in it."""
        return self.output_dir / (folder_name(value) if self.knob else "") / f"fold_{fold}"

    def log(self, value: str, fold: int, step: str) -> Path:
        """What a step printed."""
        return self.folder(value, fold) / "logs" / f"{step}.log"

    @property
    def validation_config(self) -> Path:
        """The config file with `validation_override`."""
        return self.output_dir / "validation.json"


@dataclass(frozen=True)
class Step:
    """One command: what it reads, and what it leaves when it has finished."""

    value: str
    fold: int
    name: str
    command: list[str]
    reads: tuple[Path, ...]
    writes: tuple[Path, ...]


def steps(plan: Plan) -> Iterator[Step]:
    """Training and evaluations of every value on every fold, in this order."""
    for value in plan.values:
        for fold in plan.folds:
            folder = plan.folder(value, fold)
            weights, datalist = folder / "model.pt", plan.dataset_dir / "dataset.json"
            written = (weights, folder / "resume.pt")
            yield Step(value, fold, "train", _training(plan, value, fold), (datalist,), written)
            for split in plan.splits:
                configs = (plan.validation_config,) if split == "validation" else ()
                command = _evaluation(plan, value, fold, split)
                reads = (weights, datalist, *configs)
                yield Step(value, fold, split, command, reads, (folder / split / "metrics.csv",))


def validation_override(bundle: Path) -> dict[str, object]:
    """Content of a config file that turns an evaluation on ``testing`` into one on the fold left out of the training.

    Parameters
    ----------
    bundle : Path
        The bundle's folder; the ``evaluation_items`` that its evaluate.json takes become ``validation_items``.

    Returns
    -------
    dict of str to object

    Raises
    ------
    InputError
        If evaluate.json has no such function.
    """
    path = bundle / "configs/evaluate.json"
    data = read_json(path).get(DATA)
    target = data.get("_target_", "") if isinstance(data, dict) else ""
    module, _, function = target.rpartition(".")
    if function != "evaluation_items":
        raise InputError(
            f"{path}: {DATA} is {json.dumps(data)}, expected the _target_ PACKAGE.datalist.evaluation_items, which "
            "compare replaces with validation_items"
        )
    return {DATA: data | {"_target_": f"{module}.validation_items", "fold": "@fold"}}


def _training(plan: Plan, value: str, fold: int) -> list[str]:
    return [
        *_training_start(plan),
        *common_words(plan, fold),
        *as_words({plan.knob: value} if plan.knob else {}),
        *("--output_dir", str(plan.folder(value, fold)), *as_words(plan.overrides)),
    ]


def _training_start(plan: Plan) -> list[str]:
    """A training's command up to its config files."""
    configs = bundle_root(plan) / "configs"
    if plan.num_processes == 1:
        return [*RUN, "training", "--config_file", str(configs / "train.json")]
    torchrun = (*TORCHRUN, "--nproc_per_node", str(plan.num_processes), *RUN[1:], "training")
    return [*torchrun, "--config_file", _several(configs / "train.json", configs / "multi_gpu_train.json")]


def _several(*configs: Path) -> str:
    """Config files, of which later ones override earlier ones."""
    return "[" + ",".join(f"'{path.as_posix()}'" for path in configs) + "]"


def _evaluation(plan: Plan, value: str, fold: int, split: str) -> list[str]:
    """What evaluate.json sets itself, such as ``pretrained``, is not overridden."""
    configs = [bundle_root(plan) / "configs" / f"{name}.json" for name in ("train", "evaluate")]
    configs += [plan.validation_config] if split == "validation" else []
    own = {key.replace("::", "#") for key in read_json(plan.bundle / "configs/evaluate.json")}
    knob = {plan.knob: value} if plan.knob and plan.knob not in own else {}
    overrides = {key: word for key, word in plan.overrides.items() if key.replace("::", "#") not in own}
    folder = plan.folder(value, fold)
    return [
        *(*RUN, "--config_file", _several(*configs)),
        *(*common_words(plan, fold), *as_words(knob)),
        *("--output_dir", str(folder / split), "--ckpt_path", str(folder / "model.pt")),
        *as_words(overrides),
    ]


def common_words(plan: Plan, fold: int) -> list[str]:
    """Options of every training and evaluation."""
    return ["--bundle_root", str(bundle_root(plan)), "--dataset_dir", str(plan.dataset_dir), "--fold", str(fold)]


def as_words(overrides: Mapping[str, str]) -> list[str]:
    """Overrides as they stand on a command line."""
    return [word for key, text in overrides.items() for word in (f"--{key}", text)]


def bundle_root(plan: Plan) -> Path:
    """The bundle's folder, as seen from the working directory."""
    return Path(os.path.relpath(plan.bundle))
