"""Detection in ONNX Runtime: features of slices and what is found in them, or one graph for both."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .backbones import LEVELS
from .common.errors import InputError
from .common.networks.onnx import open_session, write_graph
from .network import Detections, MaskRCNN2p5D
from .targets import stack_indices

__all__ = ["OnnxNetwork", "differences", "export_onnx"]

OUTPUTS = ("boxes", "labels", "scores", "masks")
MAPS = tuple(f"level_{level}" for level in LEVELS)
HEADS = "_heads"  # after the name of the file that makes features

Maps = list[np.ndarray]


class OnnxNetwork(nn.Module):
    """What `export_onnx` wrote, with ``detect`` and ``detect_volume`` of the network that it was made from.

    Parameters
    ----------
    path : path
        ONNX file; that of the heads, where there is one, lies beside it.
    settings, engine
        As for `open_session`.

    Raises
    ------
    InputError
        As `open_session`, and for OpenVINO: its 2026.4 finds objects in empty stacks, and loses those of others.
    """

    def __init__(self, path: str | os.PathLike, settings: Mapping[str, object], engine: str = "onnxruntime") -> None:
        super().__init__()
        if engine == "openvino":
            raise InputError(f"{path}: OpenVINO gives wrong objects for this network; use --backend onnx or torch")
        self.session, self.heads = open_session(path, settings, engine), None
        (image,) = self.session.shapes
        self.num_slices = image[1]
        if len(image) == 3:  # a slice, not a stack
            self.heads = open_session(_heads_of(Path(path)), settings, engine)
            self.num_slices = self.heads.shapes[1][0]

    def detect(self, image: torch.Tensor) -> list[Detections]:
        """As `MaskRCNN2p5D.detect`, stack by stack."""
        return [self._find(stack, range(len(stack)), {}) for stack in _as_array(image)]

    def detect_volume(self, volume: torch.Tensor, *, batch_size: int = 1) -> Iterator[Detections]:
        """As `MaskRCNN2p5D.detect_volume`, one slice at a time whatever the ``batch_size``."""
        slices = _as_array(volume)
        known: dict[int, Maps] = {}
        for numbers in stack_indices(torch.arange(len(slices)), len(slices), self.num_slices).tolist():
            known = {number: known[number] for number in numbers if number in known}
            yield self._find(slices, numbers, known)

    def _find(self, slices: np.ndarray, numbers: Sequence[int], known: dict[int, Maps]) -> Detections:
        """What is in the middle of some slices, whose features are taken from ``known`` or added to it."""
        if self.heads is None:
            values = self.session.run(slices[numbers][None])
        else:
            for number in numbers:
                if number not in known:
                    known[number] = self.session.run(slices[[number]])
            maps = (np.concatenate(level) for level in zip(*(known[number] for number in numbers), strict=True))
            centre = slices[[numbers[len(numbers) // 2]]]
            values = self.heads.run(centre, *maps)
        return {name: torch.from_numpy(value) for name, value in zip(OUTPUTS, values, strict=True)}


class _Part(nn.Module):
    def __init__(self, network: MaskRCNN2p5D) -> None:
        super().__init__()
        self.network = network


class _Detect(_Part):
    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return _as_outputs(self.network.detect(image))


class _Features(_Part):
    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features = self.network.backbone(self.network._prepare(image))
        return tuple(features[level] for level in LEVELS)


class _Heads(_Part):
    def forward(self, centre: torch.Tensor, *maps: torch.Tensor) -> tuple[torch.Tensor, ...]:
        stack = torch.arange(self.network.num_slices)[None]
        fused = self.network.fusion.fuse(dict(zip(LEVELS, maps, strict=True)), stack)
        return _as_outputs(self.network._find(fused, centre)[0])


def export_onnx(network: MaskRCNN2p5D, path: str | os.PathLike, shape: Sequence[int]) -> list[Path]:
    """Write detection in slices of any height and width as ONNX; each file whole or not at all.

    Where the fusion shares slices, two graphs: ``<name>.onnx`` makes features of a slice, ``<name>_heads.onnx`` finds
    objects in those of a stack, so that a slice in several stacks is computed once. Else one graph for a whole stack.

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
    path, stack = Path(path), _draw(shape)
    outputs = {name: {0: "objects"} for name in OUTPUTS} | {"masks": {0: "objects", 2: "height", 3: "width"}}
    if not network.fusion.shares_slices:
        axes = {"image": {2: "height", 3: "width"}}
        write_graph(_Detect(network).eval(), {"image": stack}, outputs, path, axes)
        return [path]
    slices, size = stack[0], {1: "height", 2: "width"}
    levels = {name: {2: f"{name}_height", 3: f"{name}_width"} for name in MAPS}
    extractor = _Features(network).eval()
    with torch.no_grad():
        maps = dict(zip(MAPS, extractor(slices), strict=True))
    write_graph(extractor, {"image": slices[:1]}, levels, path, {"image": size})
    inputs = {"centre": slices[len(slices) // 2 :][:1], **maps}
    write_graph(_Heads(network).eval(), inputs, outputs, _heads_of(path), {"centre": size, **levels})
    return [path, _heads_of(path)]


def differences(network: MaskRCNN2p5D, other: OnnxNetwork, shapes: Sequence[Sequence[int]]) -> dict[str, float]:
    """Largest difference of scores and masks for drawn and empty stacks (1, n, Y, X), by shape; 1 if objects differ."""
    return {
        "x".join(map(str, shape)): max(
            _difference(network.detect(stack)[0], other.detect(stack)[0])
            for stack in (_draw(shape), torch.zeros(tuple(shape)))  # OpenVINO 2026.4 finds an object in the latter
        )
        for shape in shapes
    }


def _difference(ours: Detections, theirs: Detections) -> float:
    if ours["masks"].shape != theirs["masks"].shape:
        return 1.0
    pairs = [(ours[name], theirs[name]) for name in ("scores", "masks")]
    return max((float((one - two).abs().max()) for one, two in pairs if one.numel()), default=0.0)


def _draw(shape: Sequence[int]) -> torch.Tensor:
    """Round nuclei of brightness 1 in every slice, with some noise: something that is detected."""
    _, num_slices, height, width = shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = torch.hypot((y % 64 - 32).float(), (x % 64 - 32).float())
    noise = 0.05 * torch.rand((1, num_slices, height, width), generator=torch.Generator().manual_seed(0))
    return (distance < 16).float().expand(1, num_slices, -1, -1) + noise


def _heads_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}{HEADS}{path.suffix}")


def _as_outputs(found: list[Detections]) -> tuple[torch.Tensor, ...]:
    return tuple(found[0][name] for name in OUTPUTS)


def _as_array(image: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(image.as_subclass(torch.Tensor).detach().cpu().float().numpy())
