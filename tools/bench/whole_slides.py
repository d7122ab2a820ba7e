"""Ways of segmenting the same whole slides, from file to probabilities, timed in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
import torch
from monai.inferers import Inferer
from torch import nn
from tqdm import tqdm

from common.errors import InputError

__all__ = ["SlideTimes", "Way", "count_windows", "dice", "read_mask", "time_ways"]


@dataclass(frozen=True)
class Way:
    """A way of segmenting.

    Attributes
    ----------
    segment : callable
        From a slide's file to its probabilities (1, 1, y, x) on the CPU.
    downsample : int
        Slide pixels per pixel of the result, along both axes.
    """

    segment: Callable[[Path], torch.Tensor]
    downsample: int = 1


@dataclass
class SlideTimes:
    """What was measured on one slide.

    Attributes
    ----------
    name : str
        The slide's.
    shape : tuple of int
        (Y, X) in pixels.
    seconds : dict of str to list of float
        Way -> time of each round.
    dice : dict of str to float
        Way -> Dice against the truth at full resolution; empty where there is none.
    """

    name: str
    shape: tuple[int, int]
    seconds: dict[str, list[float]]
    dice: dict[str, float] = field(default_factory=dict)


def time_ways(
    ways: Mapping[str, Way], items: Sequence[Mapping[str, Path]], *, rounds: int, threshold: float
) -> list[SlideTimes]:
    """Segment slides in several ways, which take turns in being first.

    Parameters
    ----------
    ways : mapping of str to Way
        By name.
    items : sequence of mapping
        Paths under ``image``, and ``label`` where there is a truth.
    rounds : int
        Times that each slide is segmented in each way.
    threshold : float
        Crypts are where the probability lies above it; nothing else is done to them before Dice.

    Returns
    -------
    list of SlideTimes
        One per slide.

    Raises
    ------
    InputError
        If a label map is not on the grid of its slide.
    """
    names, results = [*ways], [_untimed(item, ways) for item in items]
    with tqdm(total=rounds * len(items) * len(names), desc="inference", unit="run") as bar:
        for turn in range(rounds * len(items)):
            item, result, first = items[turn % len(items)], results[turn % len(items)], turn % len(names)
            for way in names[first:] + names[:first]:
                started = time.perf_counter()
                probability = ways[way].segment(item["image"])
                result.seconds[way].append(time.perf_counter() - started)
                if "label" in item and way not in result.dice:
                    mask = _enlarge((probability[0, 0] > threshold).numpy(), ways[way].downsample, result.shape)
                    result.dice[way] = dice(mask, read_mask(item["label"], result.shape))
                bar.update()
    return results


def count_windows(inferer: Inferer, image: torch.Tensor) -> int:
    """Number of windows that an inferer shows its network.

    Parameters
    ----------
    inferer : Inferer
        As a bundle's config makes it.
    image : Tensor of uint8, shape (3, Y, X)
        A slide.

    Returns
    -------
    int
    """
    counter = _Counter()
    inferer(image[None], counter)
    return counter.count


def dice(mask: np.ndarray, reference: np.ndarray) -> float:
    """Dice of two masks; 1 where both are empty."""
    total = np.count_nonzero(mask) + np.count_nonzero(reference)
    return 2 * np.count_nonzero(mask & reference) / total if total else 1.0


def read_mask(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Mask of all objects of a label map, bool (Y, X); InputError if that is not the given shape."""
    labels = tifffile.imread(path)
    if labels.shape != tuple(shape):
        raise InputError(f"{path}: shape {labels.shape}, expected {tuple(shape)} as its slide; convert the data again")
    return labels > 0


class _Counter(nn.Module):
    """A network that finds nothing and counts what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        self.count += len(windows)
        return torch.zeros_like(windows[:, :1])


def _untimed(item: Mapping[str, Path], ways: Mapping[str, Way]) -> SlideTimes:
    """A slide before its first round; its file has been read, so that no way has to wait for the disk."""
    path = item["image"]
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass
    with tifffile.TiffFile(path) as tiff:
        height, width = tiff.pages[0].shape[:2]
    return SlideTimes(path.stem, (height, width), {way: [] for way in ways})


def _enlarge(mask: np.ndarray, factor: int, shape: tuple[int, int]) -> np.ndarray:
    """A mask of shape (Y, X), in which each pixel of the given one covers a block."""
    for axis, size in enumerate(shape):
        mask = np.take(mask, np.arange(size) // factor, axis=axis)
    return mask
