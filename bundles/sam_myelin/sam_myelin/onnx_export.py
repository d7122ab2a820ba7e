"""The network as two ONNX files, as programs for annotation use it: an encoder for images, a decoder for prompts.

From the bundle's root: ``python -m sam_myelin.onnx_export --ckpt_path models/model.pt --variant efficient
--image_size 512 --output_dir onnx``
"""

import argparse
import logging
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .common.errors import InputError, show_input_errors_plainly
from .common.files import prepare_output_dir
from .network import SamMyelin
from .pretrained import load_sam_weights
from .pyramid import EMBEDDING_CHANNELS
from .variants import META_IMAGE_SIZE, PATCH_PX, VARIANTS

__all__ = ["export_decoder", "export_encoder"]

logger = logging.getLogger(__name__)

MAX_FILE_BYTES = 1 << 30  # of weights; an ONNX file ends at 2 GiB
IMAGES, PROMPTS, POINTS = "images", "prompts", "points"  # axes of any length
ENCODER, DECODER = "encoder.onnx", "decoder.onnx"


class _Part(nn.Module):
    def __init__(self, network: SamMyelin) -> None:
        super().__init__()
        self.network = network


class _Encoder(_Part):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.network.encode(image)


class _Decoder(_Part):
    def forward(
        self, embedding: torch.Tensor, boxes: torch.Tensor, points: torch.Tensor, point_labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.network.decode(embedding, boxes, points, point_labels)


def export_encoder(network: SamMyelin, path: str | os.PathLike) -> None:
    """Write the image encoder as ONNX; whole or not at all.

    ``image`` (B, 3, S, S), in Segment Anything's normalisation, to ``embedding`` (B, 256, S / 16, S / 16), float32, for
    any number of images. Weights of more than 1 GiB, those of ``vit_l`` and ``vit_h``, go to ``<path>.data`` beside.

    Parameters
    ----------
    network : SamMyelin
    path : path
        File to write; its folder exists.
    """
    image = torch.zeros(2, 3, network.image_size, network.image_size)
    num_bytes = sum(weight.nbytes for weight in network.encoder_parts.parameters())
    options = {"dynamo": True, "dynamic_shapes": ({0: torch.export.Dim(IMAGES)},), "verbose": False}
    options["external_data"] = num_bytes > MAX_FILE_BYTES
    _export(_Encoder(network), {"image": image}, ["embedding"], Path(path), options)


def export_decoder(network: SamMyelin, path: str | os.PathLike) -> None:
    """Write prompt encoder and mask decoder as ONNX; whole or not at all.

    ``embedding`` (B, 256, S / 16, S / 16), ``boxes`` (B, n, 4), ``points`` (B, n, p, 2) and ``point_labels`` (B, n, p)
    to ``logits`` (B, n, 1, S / 4, S / 4) and ``iou`` (B, n), all float32, for any numbers of images, prompts and points
    from 1. Places are pixels of the encoder's input, see `SamMyelin.forward`; a box of NaN is no box, a point whose
    label is -1 no point.

    Parameters
    ----------
    network : SamMyelin
    path : path
        File to write; its folder exists.
    """
    grid = network.image_size // PATCH_PX
    inputs = {
        "embedding": torch.zeros(2, EMBEDDING_CHANNELS, grid, grid),
        "boxes": torch.tensor([0.0, 0, network.image_size - 1, network.image_size - 1]).repeat(2, 3, 1),
        "points": torch.zeros(2, 3, 2, 2),
        "point_labels": torch.ones(2, 3, 2),
    }
    prompts, points = {0: IMAGES, 1: PROMPTS}, {0: IMAGES, 1: PROMPTS, 2: POINTS}
    axes = {"embedding": {0: IMAGES}, "boxes": prompts, "points": points, "point_labels": points}
    options = {"dynamo": False, "dynamic_axes": axes | {"logits": prompts, "iou": prompts}}  # dynamo takes minutes
    _export(_Decoder(network), inputs, ["logits", "iou"], Path(path), options)


def _export(
    part: _Part, inputs: Mapping[str, torch.Tensor], outputs: Sequence[str], path: Path, options: dict[str, Any]
) -> None:
    device, was_training = next(part.parameters()).device, part.network.training
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=path.parent) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters' advice to those who write them
        part.eval()
        try:
            torch.onnx.export(
                part,
                tuple(value.to(device) for value in inputs.values()),
                Path(folder, path.name),
                input_names=[*inputs],
                output_names=[*outputs],
                **options,
            )
        finally:
            part.network.train(was_training)
        for written in sorted(Path(folder).iterdir(), reverse=True):  # what the file refers to before the file
            written.replace(path.with_name(written.name))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write encoder.onnx and decoder.onnx of a checkpoint."""
    parser = argparse.ArgumentParser(prog="python -m sam_myelin.onnx_export", description=main.__doc__)
    parser.add_argument("--ckpt_path", required=True, help="weights: a plain state_dict, ours or Meta's")
    parser.add_argument("--variant", required=True, help=", ".join(VARIANTS))
    parser.add_argument("--image_size", type=int, default=META_IMAGE_SIZE, help="side of the network's input in pixels")
    parser.add_argument("--output_dir", required=True, help="folder to write to; it is created")
    given = parser.parse_args(arguments)
    if not Path(given.ckpt_path).is_file():
        raise InputError(f"{given.ckpt_path}: no such checkpoint; train first, or give another --ckpt_path")
    network = SamMyelin(given.variant, given.image_size)
    load_sam_weights(network, given.ckpt_path)
    prepare_output_dir(given.output_dir)
    for export, name in ((export_encoder, ENCODER), (export_decoder, DECODER)):
        path = Path(given.output_dir, name)
        export(network, path)
        print(path)


if __name__ == "__main__":
    show_input_errors_plainly()
    main()
