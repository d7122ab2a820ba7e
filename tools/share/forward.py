"""A bundle's network on one array, in a process of its own: ``python -m tools.share.forward DIR IN.npy OUT.npy``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from tools.share.weights import MAX_MESSAGE, load_network


def main(bundle: Path, source: Path, target: Path) -> None:
    """Write what the network makes of an array; raise where it does not give one tensor."""
    network = load_network(bundle).float().eval()
    with torch.inference_mode():
        output = network(torch.from_numpy(np.load(source)))
    if not isinstance(output, torch.Tensor):
        raise TypeError(f"the network gives {type(output).__name__}, expected one tensor")
    np.save(target, output.float().numpy())


if __name__ == "__main__":
    try:
        main(*map(Path, sys.argv[1:4]))
    except Exception as error:  # whatever a stranger's bundle raises, it is told in one line
        sys.exit(" ".join(f"{type(error).__name__}: {error}".split())[:MAX_MESSAGE])
