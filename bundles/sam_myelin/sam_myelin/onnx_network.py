"""The network in ONNX Runtime or OpenVINO: image encoder, mask decoder and segmenter, each a graph of its own."""

import copy
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .common.networks.onnx import open_session, write_graph
from .network import SamMyelin
from .onnx_export import export_decoder, export_encoder

__all__ = ["OnnxNetwork", "differences", "export_onnx"]

SEGMENTER, DECODER = "_segmenter", "_decoder"  # after the name of the encoder's file


def _beside(path: Path, part: str) -> Path:
    return path.with_name(f"{path.stem}{part}{path.suffix}")


class OnnxNetwork(nn.Module):
    """What `export_onnx` wrote, with ``encode``, ``decode`` and ``segment`` of the network that it was made from.

    Parameters
    ----------
    path : path
        ONNX file of the encoder; the others lie beside it.
    settings, engine
        As for `open_session`.

    Raises
    ------
    InputError
        As `open_session`.
    """

    def __init__(self, path: str | os.PathLike, settings: Mapping[str, object], engine: str = "onnxruntime") -> None:
        super().__init__()
        path = Path(path)
        self.encoder, self.segmenter, self.decoder = (
            open_session(file, settings, engine) for file in (path, _beside(path, SEGMENTER), _beside(path, DECODER))
        )
        self.image_size = self.encoder.shapes[0][-1]

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """As `SamMyelin.encode`."""
        return _run(self.encoder, image)[0]

    def segment(self, image: torch.Tensor) -> torch.Tensor:
        """As `SamMyelin.segment`."""
        return _run(self.segmenter, image)[0]

    def decode(
        self,
        embedding: torch.Tensor,
        boxes: torch.Tensor,
        points: torch.Tensor,
        point_labels: torch.Tensor,
        present: None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `SamMyelin.decode`, for prompts that are all there."""
        logits, iou = _run(self.decoder, embedding, boxes, points, point_labels)
        return logits, iou


def export_onnx(network: SamMyelin, path: str | os.PathLike) -> list[Path]:
    """Write ``<name>.onnx``, ``<name>_segmenter.onnx`` and ``<name>_decoder.onnx``, each whole or not at all.

    The encoder takes images of the network's size only, any number of them; the segmenter takes any size.

    Returns
    -------
    list of Path
        The files, the encoder's first.
    """
    path = Path(path)
    # the exporter writes wrong weights, without a word, where they lie channels last
    network = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    export_encoder(network, path)
    free, segmenter = {0: "images", 2: "y", 3: "x"}, _beside(path, SEGMENTER)
    image = 255 * torch.rand(1, 3, 90, 120)  # of a size that has to be padded, so that the graph can do it
    write_graph(network.segmenter, {"image": image}, {"logits": free}, segmenter, {"image": free})
    export_decoder(network, _beside(path, DECODER))
    return [path, segmenter, _beside(path, DECODER)]


def differences(network: SamMyelin, other: OnnxNetwork) -> dict[str, float]:
    """Largest difference of probabilities, of classes and of prompted masks, for a random image, by its shape."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, network.image_size, network.image_size, generator=generator)
    gray = 255 * torch.rand(1, 1, 200, 152, generator=generator).expand(-1, 3, -1, -1)
    side = network.image_size - 1.0
    boxes = torch.tensor([[[0, 0, side, side], [side / 4, side / 4, side / 2, side / 2]]])
    points, point_labels = torch.zeros(1, 2, 1, 2), -torch.ones(1, 2, 1, dtype=torch.int64)
    found = []
    with torch.inference_mode():
        for way in (network, other):
            embedding = way.encode(image)
            masks = way.decode(embedding, boxes, points, point_labels, None)[0]
            classes = way.segment(gray).float().softmax(dim=1)
            found.append((classes, masks.float().sigmoid()))
    largest = max(float((ours - theirs).abs().max()) for ours, theirs in zip(*found, strict=True))
    return {"x".join(map(str, image.shape)): largest}


def _run(session, *values: torch.Tensor) -> list[torch.Tensor]:
    """Outputs of a graph, on the device of the first input."""
    inputs = (value.as_subclass(torch.Tensor).detach().cpu().float().numpy() for value in values)
    return [torch.from_numpy(found).to(values[0].device) for found in session.run(*map(np.ascontiguousarray, inputs))]
