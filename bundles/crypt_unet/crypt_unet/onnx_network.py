# Copied from bundles/devonet_nsn/devonet_nsn/onnx_network.py: edit there, then run python -m tools vendor
"""The network in ONNX Runtime, which needs no weights beside its file and is often faster on a CPU."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .atomic import replacing
from .errors import InputError

__all__ = ["OnnxNetwork", "export_onnx", "largest_difference", "open_session", "write_graph"]

OPSET = 18
DYNAMIC = "dynamic"  # axes of any length


def open_session(path: str | os.PathLike):
    """An ``onnxruntime.InferenceSession`` on the CPU, with as many threads as PyTorch has.

    Raises
    ------
    InputError
        If there is no such file, or no ONNX Runtime.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; make it with: python -m tools export onnx {__package__}")
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class OnnxNetwork(nn.Module):
    """What `export_onnx` wrote, called as the network that it was made from.

    Parameters
    ----------
    path : path
        ONNX file from ``image`` (B, C, space) to ``pred``.
    size : sequence of int, optional
        Space that the graph was made for, where it takes one size only: smaller images are padded by repeating their
        border, and the result is cut.

    Raises
    ------
    InputError
        As `open_session`.
    """

    def __init__(self, path: str | os.PathLike, size: Sequence[int] | None = None) -> None:
        super().__init__()
        self.session, self.size = open_session(path), None if size is None else tuple(size)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (B, C, space), float32, on the image's device."""
        space = image.shape[2:]
        inputs = image.as_subclass(torch.Tensor).detach().cpu().float()
        if self.size is not None and space != self.size:
            missing = [wanted - found for wanted, found in zip(self.size, space, strict=True)]
            inputs = F.pad(inputs, [side for length in missing[::-1] for side in (0, length)], mode="replicate")
        (logits,) = self.session.run(["pred"], {"image": np.ascontiguousarray(inputs.numpy())})
        kept = (slice(None), slice(None), *(slice(length) for length in space))
        return torch.from_numpy(logits[kept]).to(image.device)


def export_onnx(network: nn.Module, path: str | os.PathLike, shape: Sequence[int], dynamic: bool = True) -> list[Path]:
    """Write the network as ONNX; whole or not at all.

    Parameters
    ----------
    network : Module
        From an image to logits.
    path : path
        File to write or replace; its folder exists.
    shape : sequence of int
        (B, C, space) of the image that it is traced with.
    dynamic : bool
        Whether space may have any size afterwards; the batch always may.

    Returns
    -------
    list of Path
        The files.
    """
    free = {0: "batch", **({axis: f"{DYNAMIC}_{axis}" for axis in range(2, len(shape))} if dynamic else {})}
    write_graph(network, {"image": torch.rand(tuple(shape))}, {"pred": free}, Path(path), {"image": free})
    return [Path(path)]


def largest_difference(network: nn.Module, other: nn.Module, shape: Sequence[int]) -> float:
    """Largest difference of probabilities that two networks give for a random image (B, C, space)."""
    image = torch.rand(tuple(shape), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours, theirs = (_probability(way(image).float()) for way in (network, other))
    return float((ours - theirs).abs().max())


def write_graph(
    network: nn.Module,
    inputs: Mapping[str, torch.Tensor],
    outputs: Mapping[str, Mapping[int, str]],
    path: Path,
    axes: Mapping[str, Mapping[int, str]],
) -> None:
    """Write a module as ONNX; whole or not at all.

    Parameters
    ----------
    network : Module
        In evaluation mode, on the CPU.
    inputs : mapping of str to Tensor
        What it is traced with, by name.
    outputs : mapping of str to mapping
        Name -> axes of any length, as ``axes`` has them for the inputs.
    path : Path
        File to write or replace.
    axes : mapping of str to mapping
        Input -> axis -> name.
    """
    _runtime()
    with replacing(path) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's advice to those who write it
        torch.onnx.export(  # without dynamo, which fixes sizes that these networks compute
            network,
            tuple(inputs.values()),
            str(partial),
            input_names=[*inputs],
            output_names=[*outputs],
            dynamic_axes={**axes, **outputs},
            opset_version=OPSET,
            dynamo=False,
        )


def _probability(logits: torch.Tensor) -> torch.Tensor:
    return logits.softmax(dim=1) if logits.shape[1] > 1 else logits.sigmoid()


def _runtime() -> ModuleType:
    try:
        import onnxruntime  # here, since only this backend needs it
    except ImportError as error:
        raise InputError("ONNX needs two more packages: pip install onnx onnxruntime") from error
    return onnxruntime
