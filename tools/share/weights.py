"""Loads a bundle's shipped weights into its network, in a process of its own: ``python -m tools.share.weights DIR``."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from monai.bundle import ConfigParser

MAX_MESSAGE = 300  # characters
NETWORK_IDS = ("network_def", "network")

__all__ = ["load_network"]


def load_network(bundle: Path) -> torch.nn.Module:
    """The bundle's network with its shipped weights; raises where they do not belong together."""
    bundle = bundle.resolve()
    weights = torch.load(bundle / "models/model.pt", map_location="cpu", weights_only=True)
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise TypeError("models/model.pt holds no plain state_dict; monai.bundle.load would keep the random weights")
    config = next(path for name in ("inference", "train") for path in sorted((bundle / "configs").glob(f"{name}.*")))
    sys.path.insert(0, str(bundle))
    parser = ConfigParser(ConfigParser.load_config_file(config))
    parser["bundle_root"] = str(bundle)
    network_id = next(name for name in NETWORK_IDS if name in parser.config)
    network = parser.get_parsed_content(network_id)
    network.load_state_dict(weights)
    return network


if __name__ == "__main__":
    try:
        load_network(Path(sys.argv[1]))
    except Exception as error:  # whatever a stranger's bundle raises, it is told in one line
        sys.exit(" ".join(f"{type(error).__name__}: {error}".split())[:MAX_MESSAGE])
