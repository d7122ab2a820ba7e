"""Slices that pass the backbone once, for all stacks that they are in, against every stack by itself."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import nn

from tools.bench.in_turns import ratio_row, time_in_turns
from tools.bench.table import Row

__all__ = ["compare_passes", "largest_differences", "stack_slices", "without_heads"]

TARGET_RATIO = 2
TOLERANCE_PX, TOLERANCE = 0.01, 1e-4  # of float32, whose sums depend on how many slices a batch has

Detections = dict[str, torch.Tensor]


@torch.no_grad()
def compare_passes(name: str, network: nn.Module, volume: torch.Tensor, *, batch_size: int, rounds: int) -> list[Row]:
    """Time of detecting in a whole volume at once and in each of its stacks by itself, and how far the two agree.

    Parameters
    ----------
    name : str
        What to call the network.
    network : Module
        With ``num_slices``, ``detect`` and ``detect_volume``, and torchvision's ``rpn`` and ``roi_heads``; in
        evaluation mode.
    volume : Tensor of float, shape (Z, Y, X)
        Preprocessed, on the network's device.
    batch_size : int
        Stacks that are looked at together, in both ways.
    rounds : int
        Times that both are done, in turns.

    Returns
    -------
    list of Row
        Medians over the rounds, and of the ratio within a round: of the whole, and without all that comes after the
        fusion of features, which is the same work in both ways.
    """
    stacks = stack_slices(len(volume), network.num_slices).to(volume.device)
    parts = {"whole detection": network, "backbone and fusion alone": without_heads(network)}
    rows = []
    for part, module in parts.items():
        ways = {
            "shared": lambda volume, module=module: _shared(module, volume, batch_size),
            "separate": lambda volume, module=module: _separate(module, volume, stacks, batch_size),
        }
        seconds = time_in_turns(ways, [volume], rounds=rounds, desc=f"{name}, {part}")
        what = f"{name}, n = {network.num_slices}, {part}: time per volume"
        rows.append(ratio_row(what, seconds["shared"], seconds["separate"], target=TARGET_RATIO))
    found = _shared(network, volume, batch_size), _separate(network, volume, stacks, batch_size)
    return [*rows, *_agreement_rows(name, *found)]


def stack_slices(depth: int, num_slices: int) -> torch.Tensor:
    """Numbers of the slices in the stack around each one, int64 (depth, num_slices); the last one is repeated."""
    offsets = torch.arange(num_slices) - num_slices // 2
    return (torch.arange(depth)[:, None] + offsets).clamp(0, depth - 1)


def without_heads(network: nn.Module) -> nn.Module:
    """A copy that finds nothing, as soon as it has fused the features."""
    network = copy.deepcopy(network)
    network.rpn, network.roi_heads = _NoProposals(), _NoDetections()
    return network


def largest_differences(first: Sequence[Detections], second: Sequence[Detections]) -> tuple[float, float]:
    """Largest difference of boxes, in pixels, and of scores; infinite where the number of detections differs.

    Parameters
    ----------
    first, second : sequence of dict of str to Tensor
        For the same slices ``boxes`` (k, 4) and ``scores`` (k,).
    """
    largest = [0.0, 0.0]
    for one, other in zip(first, second, strict=True):
        for index, key in enumerate(("boxes", "scores")):
            if one[key].shape != other[key].shape:
                return math.inf, math.inf
            if one[key].numel():
                largest[index] = max(largest[index], float((one[key] - other[key]).abs().max()))
    return largest[0], largest[1]


class _NoProposals(nn.Module):
    def forward(self, images, features, targets=None):
        return [], {}


class _NoDetections(nn.Module):
    def forward(self, features, proposals, image_shapes, targets=None):
        maps = next(iter(features.values()))
        nothing = {"boxes": (0, 4), "labels": (0,), "scores": (0,), "masks": (0, 1, 28, 28)}
        return [{key: maps.new_zeros(shape) for key, shape in nothing.items()} for _ in image_shapes], {}


def _shared(network: nn.Module, volume: torch.Tensor, batch_size: int) -> list[Detections]:
    found = [_without_masks(detections) for detections in network.detect_volume(volume, batch_size=batch_size)]
    _wait_for(volume.device)
    return found


def _separate(network: nn.Module, volume: torch.Tensor, stacks: torch.Tensor, batch_size: int) -> list[Detections]:
    found = []
    for chunk in stacks.split(batch_size):
        found += [_without_masks(detections) for detections in network.detect(volume[chunk])]
    _wait_for(volume.device)
    return found


def _without_masks(detections: Detections) -> Detections:
    return {key: detections[key] for key in ("boxes", "scores")}


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _agreement_rows(name: str, shared: Sequence[Detections], separate: Sequence[Detections]) -> list[Row]:
    boxes, scores = largest_differences(shared, separate)
    counts = (f"{sum(len(item['scores']) for item in found)}" for found in (shared, separate))
    pixels, share = f"< {TOLERANCE_PX:g} px", f"< {TOLERANCE:g}"
    return [
        Row(f"{name}: detections in the volume", *counts),
        Row(f"{name}: largest difference of boxes", f"{boxes:.1e} px", "", "", pixels, _yes(boxes < TOLERANCE_PX)),
        Row(f"{name}: largest difference of scores", f"{scores:.1e}", "", "", share, _yes(scores < TOLERANCE)),
    ]


def _yes(met: bool) -> str:
    return "yes" if met else "no"
