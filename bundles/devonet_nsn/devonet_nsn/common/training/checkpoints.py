"""Loading weights, keeping the best ones, and continuing after an interruption."""

import logging
import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ..errors import InputError
from ..files import FolderLock, replacing
from .averaging import WeightAverage

__all__ = [
    "EpochSeeder",
    "TrainingCheckpoint",
    "WeightsLoader",
    "bare_network",
    "find_differences",
    "keep_shipped",
    "read_checkpoint",
    "read_weights",
    "save_atomically",
]

logger = logging.getLogger(__name__)


def save_atomically(content: Any, path: str | os.PathLike[str]) -> None:
    """`torch.save` that leaves either the old file or the whole new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, partial.open("wb") as file:  # which tells of a full disk, as torch does not
        torch.save(content, file)


def read_checkpoint(path: str | os.PathLike[str], device: torch.device | str = "cpu") -> Any:
    """Content of a PyTorch file, tensors and plain values only: opening it runs no code from the file.

    InputError if it is none, or holds other objects; torch's own advice to open such a file all the same is not passed
    on.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is not a checkpoint
        raise InputError(f"{path}: damaged, or not a PyTorch checkpoint ({type(error).__name__})") from error


def bare_network(network: nn.Module) -> nn.Module:
    """The network itself, without the wrapper of a training over several processes."""
    return network.module if isinstance(network, DistributedDataParallel) else network


def read_weights(
    path: str | os.PathLike[str], map_location: torch.device | str, option: str = "--ckpt_path"
) -> dict[str, torch.Tensor]:
    """A plain state_dict from a file; ``option`` is what an error asks the user to give.

    InputError if the file is missing or holds anything else.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such checkpoint; train first, or give another {option}")
    weights = read_checkpoint(path, map_location)
    _check_weights(weights, path)
    return weights


def _check_weights(weights: Any, source: str | os.PathLike[str]) -> None:
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise InputError(f"{source}: is not a plain state_dict; save network.state_dict()")


def keep_shipped(path: str | os.PathLike[str]) -> None:
    """Keep weights that a training is about to replace beside them as ``<stem>_shipped.pt``, the first ones only."""
    path = Path(path)
    kept = path.with_stem(f"{path.stem}_shipped")
    if path.is_file() and not kept.exists():
        with replacing(kept) as partial:
            shutil.copyfile(path, partial)
        logger.info("kept the shipped weights as %s", kept)


class WeightsLoader:
    """Loads a plain state_dict into a network when the engine starts.

    Parameters
    ----------
    load_path : path
        The file; the word ``none`` keeps the network as it is.
    network : Module
    map_location : device
        Where the weights go, so that a GPU's checkpoint opens on a CPU.

    Raises
    ------
    InputError
        If the file is missing, is not a state_dict, or belongs to another architecture.
    """

    def __init__(self, load_path: str | os.PathLike[str], network: nn.Module, map_location: torch.device | str) -> None:
        self.load_path, self.network, self.map_location = str(load_path), network, map_location

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine | None = None) -> None:
        if self.load_path == "none":
            return
        _load(self.network, read_weights(self.load_path, self.map_location), self.load_path)
        logger.info("loaded weights from %s", self.load_path)


def find_differences(network: nn.Module, weights: dict[str, torch.Tensor]) -> dict[str, str]:
    """Names without a partner of the same shape on the other side, the network's first, with both sides' shapes."""
    states = weights, bare_network(network).state_dict()
    found, wanted = ({name: tuple(value.shape) for name, value in state.items()} for state in states)
    return {
        name: f"{found.get(name, 'nothing')} in the file and {wanted.get(name, 'nothing')} in the network"
        for name in wanted | found
        if found.get(name) != wanted.get(name)
    }


def _load(network: nn.Module, weights: dict[str, torch.Tensor], source: str) -> None:
    """`load_state_dict` that names the first difference, before anything is loaded."""
    _check_weights(weights, source)
    differences = find_differences(network, weights)
    if differences:
        name = min(differences)
        raise InputError(
            f"{source}: checkpoint of another architecture: {name} is {differences[name]}; "
            "give the checkpoint of this network, or the knobs that it was trained with"
        )
    bare_network(network).load_state_dict(weights)


class EpochSeeder:
    """Seeds all random numbers at the start of every epoch, from the seed of the process and the epoch's number.

    Transforms with random states of their own (`monai.transforms.Randomizable`) are seeded too, and a distributed
    sampler is told the epoch, by which it shuffles.
    """

    def __init__(self) -> None:
        self.seed: int | None = None

    def __call__(self, engine: Engine) -> None:
        if self.seed is None:  # what `set_determinism` left, different for every process of a distributed training
            self.seed = torch.initial_seed()
        seed = int(np.random.SeedSequence([self.seed, engine.state.epoch]).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002  what libraries draw from
        torch.manual_seed(seed)
        loader: Any = engine.state.dataloader
        set_rnd(getattr(loader, "dataset", None), seed)
        if hasattr(getattr(loader, "sampler", None), "set_epoch"):
            loader.sampler.set_epoch(engine.state.epoch)


class TrainingCheckpoint:
    """Keeps the best weights, saves the state of the training after every epoch, resumes it and stops it early.

    A config attaches it in ``run``, which federated learning never evaluates: there the server keeps the weights, and a
    client that resumed would throw away what it was just sent.

    ``model.pt`` is the network's state_dict with the best validation metric so far; ``resume.pt`` is what a killed
    training continues from. Both are replaced atomically. Attach it after the handler that validates.

    The random numbers of an epoch depend on the seed and on the epoch's number only, so that a training that was killed
    and resumed ends with the very weights of one that was not. A folder takes one training at a time.

    Parameters
    ----------
    ckpt_dir : path
        Takes ``model.pt``.
    network, optimizer, lr_scheduler : Module, Optimizer, learning rate scheduler
    evaluator : Engine
        The validation engine, whose key metric (larger is better) chooses the checkpoint.
    identity : dict
        What a resumed training must have in common with the interrupted one, such as the fold.
    keep_last : bool
        Every epoch's weights replace the ones before, as a training that validates on nothing needs it.
    patience : int
        Stop after this many validations without a better one; 0 never stops.
    patience_start : int
        Patience is lost only after this epoch, however early the best validation was.
    resume : bool
        False starts anew and overwrites.
    is_writer : bool
        False for every process but the first of a distributed training.
    state_dir : path, optional
        Takes ``resume.pt``; ``ckpt_dir`` if not given.
    ema_decay : float
        What is validated and kept is an exponential moving average of the weights, of which a step leaves this share;
        0 takes the weights as they are.
    """

    def __init__(
        self,
        ckpt_dir: str | os.PathLike[str],
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        lr_scheduler: Any,
        evaluator: Engine,
        identity: dict[str, Any],
        keep_last: bool = False,
        patience: int = 0,
        patience_start: int = 0,
        resume: bool = True,
        is_writer: bool = True,
        state_dir: str | os.PathLike[str] | None = None,
        ema_decay: float = 0.0,
    ) -> None:
        self.ckpt_dir, self.network, self.evaluator = Path(ckpt_dir), network, evaluator
        self.state_dir = self.ckpt_dir if state_dir is None else Path(state_dir)
        self.stateful = {"optimizer": optimizer, "lr_scheduler": lr_scheduler}
        self.identity, self.keep_last = identity, keep_last
        self.patience, self.patience_start = patience, patience_start
        self.resume, self.is_writer, self.ema_decay = resume, is_writer, ema_decay
        self.average: WeightAverage | None = None
        self.progress = {"best_metric": float("-inf"), "best_epoch": 0, "num_worse": 0}
        self._lock = FolderLock(self.ckpt_dir, "a training")

    @property
    def best_path(self) -> Path:
        return self.ckpt_dir / "model.pt"

    @property
    def resume_path(self) -> Path:
        return self.state_dir / "resume.pt"

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_STARTED, EpochSeeder())
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)
        engine.add_event_handler(Events.COMPLETED, lambda: self._lock.release())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._update_average)
        self.evaluator.add_event_handler(Events.STARTED, self._swap_average)
        self.evaluator.add_event_handler(Events.COMPLETED, self.keep_best, engine)
        self.evaluator.add_event_handler(Events.COMPLETED, self._swap_average)

    def start(self, engine: Engine) -> None:
        if self.is_writer:
            self.ckpt_dir.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        if self.ema_decay:
            self.average = WeightAverage(bare_network(self.network), self.ema_decay)
        if not (self.resume and self.resume_path.is_file()):
            return
        source = str(self.resume_path)
        state = read_checkpoint(source)
        if not isinstance(state, dict) or not {"network", "progress", "identity", "epoch", "iteration"} <= set(state):
            raise InputError(f"{source}: not the state of a training; give --resume False to start again")
        if state["identity"] != self.identity:
            raise InputError(
                f"{source}: belongs to a training with {state['identity']}, this one has {self.identity}; "
                "give another --output_dir, or --resume False to start again"
            )
        _load(self.network, state["network"], source)
        for name, target in self._stateful(engine).items():
            saved = state.get(name)
            if saved is None:  # a training that began on a CPU has no scaler
                continue
            if "t_total" in saved:  # with more epochs than before the cosine gets longer; past its end it would rise
                saved = {**saved, "t_total": target.t_total}
            target.load_state_dict(saved)
        if self.average is not None and "average" in state:
            self.average.load_state_dict(state["average"])
        self.progress = state["progress"]
        engine.state.epoch, engine.state.iteration = state["epoch"], state["iteration"]
        logger.info("resumed from %s after epoch %d of %d", source, state["epoch"], engine.state.max_epochs)
        if self._has_lost_patience() or state["epoch"] >= engine.state.max_epochs:
            logger.info("this training has finished; give --max_epochs or --patience to continue, or --resume False")
            engine.terminate()

    def keep_best(self, evaluator: Engine, trainer: Engine) -> None:
        name: str = evaluator.state.key_metric_name  # type: ignore[attr-defined]  # which MONAI's engines add
        metric = float(evaluator.state.metrics[name])
        if metric > self.progress["best_metric"]:
            self.progress = {"best_metric": metric, "best_epoch": trainer.state.epoch, "num_worse": 0}
            if self.is_writer:
                save_atomically(bare_network(self.network).state_dict(), self.best_path)
        elif trainer.state.epoch > self.patience_start:
            self.progress["num_worse"] += 1
            if self._has_lost_patience():
                logger.info("stopping early: no better validation since epoch %d", self.progress["best_epoch"])
                trainer.terminate()

    def save(self, engine: Engine) -> None:
        if not self.is_writer:
            return
        if self.keep_last:
            weights = bare_network(self.network).state_dict() if self.average is None else self.average.weights()
            save_atomically(weights, self.best_path)
        state = {name: target.state_dict() for name, target in self._stateful(engine).items()}
        state.update(
            network=bare_network(self.network).state_dict(),
            progress=self.progress,
            identity=self.identity,
            epoch=engine.state.epoch,
            iteration=engine.state.iteration,
        )
        if self.average is not None:
            state["average"] = self.average.state_dict()
        save_atomically(state, self.resume_path)

    def _update_average(self) -> None:
        if self.average is not None:
            self.average.update()

    def _swap_average(self) -> None:
        if self.average is not None:
            self.average.swap()

    def _has_lost_patience(self) -> bool:
        return 0 < self.patience <= self.progress["num_worse"]

    def _stateful(self, engine: Engine) -> dict[str, Any]:
        scaler = getattr(engine, "scaler", None)
        return self.stateful if scaler is None else {**self.stateful, "scaler": scaler}
