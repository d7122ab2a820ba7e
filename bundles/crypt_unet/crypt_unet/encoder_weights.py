"""Pretrained weights for the encoder of a network, looked up when a training starts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from .common.training.encoder_weights import encoder_state

__all__ = ["EncoderWeightsLoader"]

logger = logging.getLogger(__name__)


class EncoderWeightsLoader:
    """Puts pretrained weights into the encoder of a `CryptNet` when the engine starts.

    Not when the network is built: a bundle that is opened, verified, exported or used needs no network connection.

    Parameters
    ----------
    network : CryptNet
    weights : str
        As for `encoder_state`; the word ``none`` for random ones.
    resume_path : path
        Where this file exists the training goes on from it, and nothing is fetched.

    Raises
    ------
    InputError
        If the weights cannot be found, or the encoder has none of that name.
    """

    def __init__(self, network: nn.Module, weights: str, resume_path: str | Path) -> None:
        self.network, self.weights, self.resume_path = network, weights, Path(resume_path)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine | None = None) -> None:
        if self.weights == "none" or self.resume_path.is_file():
            return
        network: Any = self.network.module if isinstance(self.network, DistributedDataParallel) else self.network
        name = network.encoder_name
        if name is None:
            logger.warning("unetr has no pretrained encoder: --encoder_weights %s is left out", self.weights)
            return
        state, source = encoder_state(name, self.weights)
        network.body.encoder.load_state_dict(state)
        logger.info("encoder %s starts from %s", name, source)
