"""ImageNet weights for the encoder of a network, fetched when a training starts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from .common.errors import InputError

__all__ = ["EncoderWeightsLoader"]

logger = logging.getLogger(__name__)


class EncoderWeightsLoader:
    """Puts pretrained weights into the encoder of a `CryptNet` when the engine starts.

    Not when the network is built: a bundle that is opened, verified, exported or used needs no network connection.

    Parameters
    ----------
    network : CryptNet
    weights : str
        ``imagenet`` or another name that segmentation-models-pytorch knows for the encoder; the word ``none`` for
        random ones.
    resume_path : path
        Where this file exists the training goes on from it, and nothing is fetched.

    Raises
    ------
    InputError
        If the weights cannot be fetched, or the encoder has none of that name.
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
        network.body.encoder.load_state_dict(_fetch(name, self.weights))
        logger.info("encoder %s starts from its %s weights", name, self.weights)


def _fetch(name: str, weights: str) -> dict[str, torch.Tensor]:
    """State of an encoder with pretrained weights, from the local cache or its hub."""
    hub_logger = logging.getLogger("huggingface_hub")
    level = hub_logger.level
    hub_logger.setLevel(logging.ERROR)  # one line tells better than its every attempt that there is no connection
    try:
        return get_encoder(name, weights=weights).state_dict()
    except KeyError as error:
        raise InputError(f"--encoder_weights {weights}: {error.args[0]}; or give --encoder_weights none") from error
    except Exception as error:  # hubs and their HTTP libraries raise many kinds
        raise InputError(
            f"the {weights} weights of {name} cannot be fetched ({type(error).__name__}); connect to the network once, "
            "or give --encoder_weights none to start from random weights, or --pretrained True for this bundle's own"
        ) from error
    finally:
        hub_logger.setLevel(level)
