"""Ways of segmenting the same volumes, timed in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping

import numpy as np
import torch
from monai.data import Dataset, MetaTensor
from monai.inferers import Inferer
from torch import nn
from tqdm import tqdm

from common.errors import InputError

__all__ = ["iou", "measure"]

MIN_VOLUMES = 3


@torch.no_grad()
def measure(
    ways: Mapping[Hashable, tuple[Inferer, nn.Module]],
    dataset: Dataset,
    postprocessing: Callable[[dict], dict],
    *,
    num_volumes: int,
) -> tuple[dict[Hashable, list[float]], dict[Hashable, list[float]]]:
    """Segment volumes in several ways, which take turns in being first; the first volume is done twice to warm up.

    Parameters
    ----------
    ways : mapping
        Name -> inferer and network.
    dataset : Dataset
        Items with ``image``, preprocessed, and ``label``, as the postprocessing leaves ``pred``.
    postprocessing : callable
        From an item with the network's output under ``pred`` to the mask in the original grid.
    num_volumes : int
        Number of volumes, spread evenly over the dataset.

    Returns
    -------
    seconds, ious : dict of list of float
        Time of the inferer alone and IoU of the mask, for each way and volume.

    Raises
    ------
    InputError
        If the dataset has fewer than three items.
    """
    if len(dataset) < MIN_VOLUMES:
        raise InputError(f"{len(dataset)} labelled images under testing, expected at least 3; give another dataset_dir")
    indices = np.linspace(0, len(dataset) - 1, min(num_volumes, len(dataset))).round().astype(int)
    names, seconds, ious = [*ways], {way: [] for way in ways}, {way: [] for way in ways}
    for turn, index in enumerate(tqdm([indices[0], *indices], desc="inference", unit="volume")):
        item, first = dataset[int(index)], turn % len(names)
        for way in names[first:] + names[:first]:
            duration, logits = _timed(*ways[way], item["image"].as_tensor()[None])
            if turn == 0:
                continue
            mask = postprocessing({**item, "pred": MetaTensor(logits[0].cpu())})["pred"]
            seconds[way].append(duration)
            ious[way].append(iou(np.asarray(mask) > 0, np.asarray(item["label"]) > 0))
    return seconds, ious


def iou(mask: np.ndarray, reference: np.ndarray) -> float:
    """Intersection over union of two masks; 1 where both are empty."""
    union = np.count_nonzero(mask | reference)
    return np.count_nonzero(mask & reference) / union if union else 1.0


def _timed(inferer: Inferer, network: nn.Module, image: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Seconds and result of an inferer on the network's device."""
    device = next(network.parameters()).device
    image = image.to(device)
    started = time.perf_counter()
    logits = inferer(image, network)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started, logits
