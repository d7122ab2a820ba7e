"""Where an image is cut, and how far around its part a block looks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import InputError

__all__ = ["Block", "choose_size", "cut", "overlap", "within"]

Extent = tuple[tuple[int, int], ...]

TOLERANCE_PX = 0.05  # between the network's grid in a block and that of the whole image
MAX_TRIES = 16  # starts that are tried where no pixel is a whole step from the image's beginning
BYTES = 4  # of a pixel as a network takes it


@dataclass(frozen=True)
class Block:
    """A part of an image.

    Attributes
    ----------
    number : int
        From 0, the last axis running fastest.
    core : tuple of (int, int)
        Start and stop along every axis; the cores of all blocks make up the image.
    region : tuple of (int, int)
        What the network is shown: the core and a halo around it, as far as the image reaches.
    """

    number: int
    core: Extent
    region: Extent

    @property
    def place(self) -> str:
        """The core in words."""
        names = "zyx"[-len(self.core) :]
        return "block at " + ", ".join(
            f"{name} {start}:{stop}" for name, (start, stop) in zip(names, self.core, strict=True)
        )


def cut(shape: Sequence[int], size: Sequence[int], halo: Sequence[int], step: Sequence[float]) -> list[Block]:
    """Cut an image into blocks.

    Parameters
    ----------
    shape : sequence of int
        Of the image.
    size : sequence of int
        Of the cores; those at the end may be smaller.
    halo : sequence of int
        Least number of pixels that a block sees beyond its core.
    step : sequence of float
        Regions begin at about whole multiples of it, so that what the network merges and samples lies where it lies in
        the whole image.

    Returns
    -------
    list of Block
    """
    axes = [
        [_along(length, start, min(start + core, length), margin, grid) for start in range(0, length, core)]
        for length, core, margin, grid in zip(shape, size, halo, step, strict=True)
    ]
    return [
        Block(number, tuple(core for core, _ in parts), tuple(region for _, region in parts))
        for number, parts in enumerate(itertools.product(*axes))
    ]


def overlap(first: Block, second: Block) -> Extent | None:
    """What the regions of two blocks have in common; None where their cores are no neighbours."""
    if any(a[1] < b[0] or b[1] < a[0] for a, b in zip(first.core, second.core, strict=True)):
        return None
    common = tuple((max(a[0], b[0]), min(a[1], b[1])) for a, b in zip(first.region, second.region, strict=True))
    return common if all(start < stop for start, stop in common) else None


def within(extent: Extent, region: Extent) -> tuple[slice, ...]:
    """An extent of the image as slices of an array that holds a region of it."""
    return tuple(slice(start - first, stop - first) for (start, stop), (first, _) in zip(extent, region, strict=True))


def choose_size(
    shape: Sequence[int], halo: Sequence[int], step: Sequence[float], *, copies: float, memory: float
) -> tuple[int, ...]:
    """Largest cores whose blocks can be segmented in a given memory.

    Parameters
    ----------
    shape, halo, step
        As for `cut`.
    copies : float
        How many times its pixels in 32 bit a network needs.
    memory : float
        In bytes.

    Returns
    -------
    tuple of int
        Whole steps, but where an axis is not cut; the shape itself where the whole image fits.

    Raises
    ------
    InputError
        If not even the smallest blocks fit.
    """
    counts = [1] * len(shape)
    while True:
        size = tuple(
            length if count == 1 else _whole_steps(length / count, grid)
            for length, count, grid in zip(shape, counts, step, strict=True)
        )
        seen = [
            min(length, core + 2 * margin + math.ceil(grid)) if core < length else length
            for length, core, margin, grid in zip(shape, size, halo, step, strict=True)
        ]
        needed = math.prod(seen) * BYTES * copies
        if needed <= memory:
            return size
        divisible = [axis for axis, grid in enumerate(step) if size[axis] > max(grid, halo[axis], 1)]
        if not divisible:
            raise InputError(
                f"--memory {memory / 1e9:.3g}: the smallest blocks, {'x'.join(map(str, size))} pixels with "
                f"{'x'.join(map(str, halo))} around them, need {needed / 1e9:.3g} GB; give more, or --blocks"
            )
        counts[max(divisible, key=lambda axis: size[axis] / max(halo[axis], 1))] += 1


def _along(length: int, start: int, stop: int, halo: int, step: float) -> tuple[tuple[int, int], tuple[int, int]]:
    return (start, stop), (_aligned(max(0, start - halo), step), min(length, stop + halo))


def _aligned(position: int, step: float) -> int:
    """The next pixel at or before a position that is about a whole number of steps from the first one."""
    best, smallest = 0, math.inf
    for multiple in range(int(position / step + 1e-9), max(-1, int(position / step) - MAX_TRIES), -1):
        start = round(multiple * step)
        distance = abs(multiple * step - start)
        if start <= position and distance < smallest - 1e-9:
            best, smallest = start, distance
        if smallest <= TOLERANCE_PX:
            break
    return best


def _whole_steps(length: float, step: float) -> int:
    return max(1, math.ceil(math.ceil(length / step - 1e-9) * step))
