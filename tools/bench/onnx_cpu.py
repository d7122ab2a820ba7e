"""A network in ONNX Runtime and in PyTorch, both on the CPU with the same number of threads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from tools.bench.in_turns import ratio_row, time_in_turns
from tools.bench.table import Row

__all__ = ["TOLERANCE", "compare_onnx", "export_onnx"]

TOLERANCE = 1e-4  # of logits


def export_onnx(network: nn.Module, image: torch.Tensor, path: Path) -> onnxruntime.InferenceSession:
    """Export a network for images of one shape, and open it.

    Parameters
    ----------
    network : Module
        On the CPU, in evaluation mode.
    image : Tensor of float
        An input.
    path : Path
        File to write.

    Returns
    -------
    InferenceSession
        From ``image`` to ``pred``.
    """
    torch.onnx.export(network, (image,), path, input_names=["image"], output_names=["pred"], verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def compare_onnx(
    network: nn.Module, folder: Path, *, size: Sequence[int], batch_sizes: Sequence[int] = (1, 4), rounds: int
) -> list[Row]:
    """Time of a forward pass in float32, and how far the logits are apart.

    Parameters
    ----------
    network : Module
        On the CPU, from (B, 1, Y, X) to logits of the same shape.
    folder : Path
        Folder to export to.
    size : sequence of int
        Height and width of the images.
    batch_sizes : sequence of int
        Numbers of images per pass.
    rounds : int
        Times that each is called, after one that is not counted.

    Returns
    -------
    list of Row
        Two for each batch size.

    Raises
    ------
    RuntimeError
        If logits differ by more than the tolerance.
    """
    rows, network = [], network.eval()
    for batch_size in batch_sizes:
        image = torch.randn(batch_size, 1, *size, generator=torch.Generator().manual_seed(0))
        session = export_onnx(network, image, folder / f"batch_{batch_size}.onnx")
        ways = {
            "onnx": lambda image, session=session: session.run(["pred"], {"image": image.numpy()})[0],
            "eager": lambda image: network(image).numpy(),
        }
        shape = "x".join(map(str, image.shape))
        difference = float(np.abs(ways["onnx"](image) - ways["eager"](image)).max())
        if not difference <= TOLERANCE:
            raise RuntimeError(
                f"{shape}: ONNX Runtime's logits differ by {difference:g}, expected at most {TOLERANCE:g}"
            )
        seconds = time_in_turns(ways, [image], rounds=rounds, desc=f"onnx {shape}")
        rows += [
            ratio_row(f"ONNX Runtime, {shape}: time per pass", seconds["onnx"], seconds["eager"]),
            Row(
                f"ONNX Runtime, {shape}: largest difference of logits",
                f"{difference:.1e}",
                "",
                "",
                f"<= {TOLERANCE:g}",
                "yes",
            ),
        ]
    return rows
