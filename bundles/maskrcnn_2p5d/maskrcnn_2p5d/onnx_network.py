"""Detection in ONNX Runtime: one graph from a stack of slices to the objects in its middle."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .network import Detections, MaskRCNN2p5D
from .onnx_graphs import open_session, write_graph

__all__ = ["OnnxNetwork", "differences", "export_onnx"]

OUTPUTS = ("boxes", "labels", "scores", "masks")


class OnnxNetwork(nn.Module):
    """What `export_onnx` wrote, with the ``detect`` of the network that it was made from.

    Features of a slice are computed for every stack that it is in, as the graph takes whole stacks.

    Parameters
    ----------
    path : path
        ONNX file.
    settings : mapping
        As for `open_session`.

    Raises
    ------
    InputError
        As `open_session`.
    """

    def __init__(self, path: str | os.PathLike, settings: Mapping[str, object]) -> None:
        super().__init__()
        self.session = open_session(path, settings)

    def detect(self, image: torch.Tensor) -> list[Detections]:
        """As `MaskRCNN2p5D.detect`, stack by stack."""
        stacks = np.ascontiguousarray(image.as_subclass(torch.Tensor).detach().cpu().float().numpy())
        found = []
        for stack in stacks:
            values = self.session.run(list(OUTPUTS), {"image": stack[None]})
            found.append({name: torch.from_numpy(value) for name, value in zip(OUTPUTS, values, strict=True)})
        return found


class _Detect(nn.Module):
    def __init__(self, network: MaskRCNN2p5D) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        (found,) = self.network.detect(image)
        return tuple(found[name] for name in OUTPUTS)


def export_onnx(network: MaskRCNN2p5D, path: str | os.PathLike, shape: Sequence[int]) -> list[Path]:
    """Write ``detect`` for one stack of any height and width as ONNX; whole or not at all.

    Parameters
    ----------
    network : MaskRCNN2p5D
    path : path
        File to write or replace; its folder exists.
    shape : sequence of int
        (1, n, Y, X) of the stack that it is traced with.

    Returns
    -------
    list of Path
        The files.
    """
    objects = {0: "objects"}
    outputs = {name: dict(objects) for name in OUTPUTS} | {"masks": {0: "objects", 2: "height", 3: "width"}}
    axes = {"image": {2: "height", 3: "width"}}
    write_graph(_Detect(network).eval(), {"image": _draw(shape)}, outputs, Path(path), axes)
    return [Path(path)]


def differences(network: MaskRCNN2p5D, other: OnnxNetwork, shapes: Sequence[Sequence[int]]) -> dict[str, float]:
    """Largest difference of scores and masks for drawn stacks (1, n, Y, X), by shape; 1 if objects differ."""
    found = {}
    for shape in shapes:
        stack = _draw(shape)
        (ours,), (theirs,) = network.detect(stack), other.detect(stack)
        pairs = [(ours[name], theirs[name]) for name in ("scores", "masks")]
        is_same = ours["masks"].shape == theirs["masks"].shape
        apart = [float((one - two).abs().max()) for one, two in pairs if one.numel()] if is_same else [1.0]
        found["x".join(map(str, shape))] = max(apart, default=0.0)
    return found


def _draw(shape: Sequence[int]) -> torch.Tensor:
    """Round nuclei of brightness 1 in every slice, with some noise: something that is detected."""
    _, num_slices, height, width = shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = torch.hypot((y % 64 - 32).float(), (x % 64 - 32).float())
    noise = 0.05 * torch.rand((1, num_slices, height, width), generator=torch.Generator().manual_seed(0))
    return (distance < 16).float().expand(1, num_slices, -1, -1) + noise
