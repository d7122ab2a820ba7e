"""What a training consists of: steps, each one command that reads some files and leaves others."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.json_file import read_json
from tools.runs.words import bundle_command, normal_key, top_key

__all__ = ["Step", "Training"]


@dataclass(frozen=True)
class Step:
    """One command, and how to know whether it is done.

    Attributes
    ----------
    title : str
        For messages.
    command : list of str
    log : Path
        What it prints; a stamp beside it says that it has finished.
    reads, writes : tuple of Path
        A step is done when it has finished after all that it reads was written, and left all that it writes.
    overrides : mapping of str to str, optional
        Of a training, which only continues with those that it was begun with.
    """

    title: str
    command: list[str]
    log: Path
    reads: tuple[Path, ...]
    writes: tuple[Path, ...]
    overrides: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Training:
    """A training, its evaluations and its inference.

    Attributes
    ----------
    title : str
        For messages, such as ``rate 0.1, fold 0``.
    bundle, dataset_dir : Path
    folder : Path
        Gets model.pt, resume.pt, logs/, and a folder for each evaluation and for the inference.
    fold : int or "none"
        Left out of the training, to validate on.
    overrides : mapping of str to str
        Keys of train.json -> value.
    varied : mapping of str to str
        The override in which the trainings of a plan differ.
    configs : tuple of str
        Names of the bundle's configs that the training reads after train.json.
    weights_key : str
        By which an evaluation takes the weights.
    """

    title: str
    bundle: Path
    dataset_dir: Path
    folder: Path
    fold: int | str
    overrides: Mapping[str, str]
    varied: Mapping[str, str] = field(default_factory=dict)
    configs: tuple[str, ...] = ()
    weights_key: str = "ckpt_path"

    @property
    def weights(self) -> Path:
        return self.folder / "model.pt"

    @property
    def resume(self) -> Path:
        """The state after the last epoch."""
        return self.folder / "resume.pt"

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def train(self, *configs: Path, num_processes: int = 1) -> Step:
        """The training itself, with further config files; over several processes by multi_gpu_train.json."""
        names = ("train",) if num_processes == 1 else ("train", "multi_gpu_train")
        given = {"fold": self.fold, **self.varied, "output_dir": self.folder, **self.overrides}
        command = bundle_command(
            [*self._configs(*names, *self.configs), *configs],
            self._where | given,
            workflow="training",
            num_processes=num_processes,
        )
        return self._step("train", command, (), (self.weights, self.resume), self.overrides)

    def evaluate(self, split: str, *configs: Path, weights: Path | None = None) -> Step:
        """An evaluation, of other weights if they are given; what evaluate.json sets itself is not overridden."""
        own = {normal_key(key) for key in read_json(self.bundle / "configs/evaluate.json")}
        varied, overrides = (
            _chosen(given, lambda key: normal_key(key) not in own) for given in (self.varied, self.overrides)
        )
        weights = weights or self.weights
        target = {"output_dir": self.folder / split, self.weights_key: weights}
        files = [*self._configs("train", "evaluate"), *configs]
        command = bundle_command(files, self._where | {"fold": self.fold} | varied | target | overrides)
        return self._step(split, command, (weights, *configs), (self.folder / split / "metrics.csv",))

    def infer(self, **switches: str) -> Step:
        """Inference on ``testing``, by which the folder ``inference`` fills."""
        config = read_json(self.bundle / "configs/inference.json")
        target = {"output_dir": self.folder / "inference", "ckpt_path": self.weights}
        overrides = _chosen(self.overrides, lambda key: top_key(key) in config)
        command = bundle_command(self._configs("inference"), self._where | target | switches | overrides)
        return self._step("inference", command, (self.weights,), ())

    @property
    def _where(self) -> dict[str, object]:
        return {"bundle_root": self._root, "dataset_dir": self.dataset_dir}

    @property
    def _root(self) -> Path:
        """The bundle's folder, as seen from the working directory."""
        return Path(os.path.relpath(self.bundle))

    def _configs(self, *names: str) -> list[Path]:
        return [self._root / f"configs/{name}.json" for name in names]

    def _step(
        self,
        name: str,
        command: list[str],
        reads: tuple[Path, ...],
        writes: tuple[Path, ...],
        overrides: Mapping[str, str] | None = None,
    ) -> Step:
        reads = (*reads, self.dataset_dir / "dataset.json")
        return Step(f"{self.title}: {name}", command, self.log(name), reads, writes, overrides)


def _chosen(overrides: Mapping[str, str], wanted: Callable[[str], bool]) -> dict[str, str]:
    return {key: value for key, value in overrides.items() if wanted(key)}
