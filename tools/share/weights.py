"""Loads a bundle's shipped weights into its network, in a process of its own: ``python -m tools.share.weights DIR``."""

import sys
from pathlib import Path

import torch
from monai.bundle import ConfigParser

from common.training.checkpoints import read_checkpoint
from tools.bundles import WEIGHTS

MAX_MESSAGE = 300  # characters
NETWORK_IDS = ("network_def", "network")
CONFIGS = ("inference", "train")

__all__ = ["load_network"]


def load_network(bundle: Path, network_id: str = "") -> torch.nn.Module:
    """The bundle's network, whose code runs, with its shipped weights; raises if they do not fit it.

    ``network_id`` is another network that ``configs/<network_id>.json``, read on top of the bundle's config, makes of
    the parts of the first one; empty for the first one.
    """
    bundle = bundle.resolve()
    weights = read_checkpoint(bundle / WEIGHTS)
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise TypeError("models/model.pt is not a plain state_dict; monai.bundle.load would keep the random weights")
    files = [next(path for name in CONFIGS for path in sorted((bundle / "configs").glob(f"{name}.*")))]
    if network_id:
        files.append(bundle / "configs" / f"{network_id}.json")
    sys.path.insert(0, str(bundle))
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    parser["bundle_root"] = str(bundle)
    network = parser.get_parsed_content(next(name for name in NETWORK_IDS if name in parser))
    network.load_state_dict(weights)
    return parser.get_parsed_content(network_id) if network_id else network


if __name__ == "__main__":
    try:
        load_network(Path(sys.argv[1]))
    except Exception as error:  # whatever a stranger's bundle raises, it is reported in one line
        sys.exit(" ".join(f"{type(error).__name__}: {error}".split())[:MAX_MESSAGE])
