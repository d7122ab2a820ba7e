"""Inference of devonet_nsn: its sliding window in mixed precision against QCANet's window, and against float32.

Same network, same volumes, preprocessed in memory; the time is the inferer's alone. IoU: of the mask in the grid of the
image. Plain float32 also keeps weights in PyTorch's usual order in memory, instead of channels last. QCANet's authors
[1] cut cubes of 96 voxels of which the middle 48 are kept, beyond the border the volume is mirrored. Their programs
also pad every volume to a cube; that is left out, in their favour.

[1] Tokuoka et al. (2020), doi:10.1038/s41540-020-00152-8
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import nn

from benchmarks.bundles import load_network, open_config, testing_data
from benchmarks.harness import Row, goal, iou, speed, take_turns

QCANET = {"_target_": "benchmarks.nsn.CentralCropInferer"}
WAYS = {"ours": {}, "QCANet's scheme": {"validate#inferer#inferer": QCANET}, "plain float32": {"amp": False}}


def compare(
    folder: Path, *, dataset_dir: str = "", ckpt_path: str = "", num_volumes: int = 6, rounds: int = 1
) -> Iterator[str | list[Row]]:
    """Options: dataset_dir, with labelled volumes under testing; ckpt_path, other weights; num_volumes, at most."""
    items, about = testing_data("devonet_nsn", dataset_dir, folder, num_volumes)
    yield about
    parsers = {way: open_config("devonet_nsn", "train", "evaluate", ckpt_path=ckpt_path, **WAYS[way]) for way in WAYS}
    read, restore = (parsers["ours"].get_parsed_content(f"validate#{key}processing") for key in ("pre", "post"))

    def judge(item: Mapping[str, MetaTensor], logits: torch.Tensor) -> float:
        mask = restore({**item, "pred": MetaTensor(logits[0].float().cpu())})["pred"]
        return iou(np.asarray(mask) > 0, np.asarray(item["label"]) > 0)

    ways = {way: _inference(parser) for way, parser in parsers.items()}
    with torch.no_grad():
        seconds, scores = take_turns(ways, [read(item) for item in items], rounds=rounds, desc="volumes", judge=judge)
    ious = {way: float(np.mean(values)) for way, values in scores.items()}
    for way, at_least in (("QCANet's scheme", 3), ("plain float32", None)):
        better, target = ious["ours"] - ious[way], goal(">= 0", ious["ours"] >= ious[way]) if at_least else ""
        yield [
            speed(f"{way}: time per volume", seconds["ours"], seconds[way], at_least),
            Row(f"{way}: mean IoU", f"{ious['ours']:.4f}", f"{ious[way]:.4f}", f"{better:+.4f}", target),
        ]


class CentralCropInferer(Inferer):
    """Cubic patches of which only the centre is kept; beyond the border the volume is mirrored."""

    patch_size, stride = 96, 48

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args, **kwargs) -> torch.Tensor:
        """Logits of a batch of volumes (N, C, Z, Y, X), same spatial shape."""
        shape, stride, margin = inputs.shape[2:], self.stride, (self.patch_size - self.stride) // 2
        covered = [-(-size // stride) * stride for size in shape]
        padding = [(margin, whole - size + margin) for whole, size in zip(covered, shape, strict=True)]
        mirrored = np.pad(inputs.cpu().numpy(), [(0, 0), (0, 0), *padding], mode="reflect")
        volume, result = torch.from_numpy(mirrored).to(inputs.device), None
        for corner in product(*(range(0, whole, stride) for whole in covered)):
            patch = volume[(..., *(slice(start, start + self.patch_size) for start in corner))]
            centre = network(patch, *args, **kwargs)[(..., *[slice(margin, margin + stride)] * 3)]
            if result is None:
                result = centre.new_empty(*centre.shape[:2], *covered)
            result[(..., *(slice(start, start + stride) for start in corner))] = centre
        return result[(..., *map(slice, shape))]


def _inference(parser: ConfigParser) -> Callable[[Mapping[str, MetaTensor]], torch.Tensor]:
    """Function from a preprocessed item to its logits."""
    inferer, device, amp = map(parser.get_parsed_content, ("validate#inferer", "device", "amp"))
    network = load_network(parser)
    if not amp:
        network = network.to(memory_format=torch.contiguous_format)
    return lambda item: inferer(item["image"].as_tensor()[None].to(device), network)
