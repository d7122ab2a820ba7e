"""Where an image is cut, and how far around its part a block looks."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import InputError

__all__ = ["Block", "Grid", "choose_size", "cut", "overlap", "within"]

Extent = tuple[tuple[int, int], ...]

TOLERANCE_PX = 0.05  # that windows in a block may lie beside those in the whole image
BYTES = 4  # of a pixel as a network takes it


@dataclass(frozen=True)
class Grid:
    """The windows that a network slides over an image: their size and interval along every axis, in its pixels."""

    window: tuple[float, ...]
    interval: tuple[float, ...]


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
        spans = (f"{name} {start}:{stop}" for name, (start, stop) in zip(names, self.core, strict=True))
        return "block at " + ", ".join(spans)


def cut(shape: Sequence[int], size: Sequence[int], halo: Sequence[int], grids: Sequence[Grid] = ()) -> list[Block]:
    """Cut an image into blocks.

    Parameters
    ----------
    shape : sequence of int
        Of the image.
    size : sequence of int
        Of the cores; those at the end may be smaller.
    halo : sequence of int
        Least number of pixels that a block sees beyond its core.
    grids : sequence of Grid
        Of the networks that run on it. Regions begin and end where windows of the whole image do, or reach so much
        further that the core does not notice: so every pixel of it is seen in the same windows as in the whole image.
        Where no pixel does so for all of them, the nearest one is taken.
    """
    axes = [
        [_along(length, start, min(start + core, length), margin, windows) for start in range(0, length, core)]
        for length, core, margin, windows in zip(shape, size, halo, _by_axis(grids, len(shape)), strict=True)
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
    shape: Sequence[int], halo: Sequence[int], grids: Sequence[Grid], *, copies: float, memory: float
) -> tuple[int, ...]:
    """Largest cores whose blocks can be segmented in a given memory, in bytes; arguments as for `cut`.

    They are whole intervals of the windows that are furthest apart, where an axis is cut; the shape itself where the
    whole image fits. ``copies`` is how many times its pixels in 32 bit a network needs. InputError if not even the
    smallest blocks fit.
    """
    steps = [max([1.0, *(interval for _, interval in windows)]) for windows in _by_axis(grids, len(shape))]
    counts = [1] * len(shape)
    while True:
        size = tuple(
            length if count == 1 else _whole_steps(length / count, step)
            for length, count, step in zip(shape, counts, steps, strict=True)
        )
        needed = (
            copies
            * BYTES
            * math.prod(_longest(*axis) for axis in zip(shape, size, halo, _by_axis(grids, len(shape)), strict=True))
        )
        if needed <= memory:
            return size
        divisible = [axis for axis, step in enumerate(steps) if size[axis] > math.ceil(step)]
        if not divisible:
            raise InputError(
                f"--memory {memory / 1e9:.3g}: the smallest blocks, {'x'.join(map(str, size))} pixels and what the "
                f"network sees around them, need {needed / 1e9:.3g} GB; give more, or smaller --blocks"
            )
        counts[max(divisible, key=lambda axis: size[axis] / steps[axis])] += 1


Windows = list[tuple[float, float]]


def _by_axis(grids: Sequence[Grid], num_axes: int) -> list[Windows]:
    return [[(grid.window[axis], grid.interval[axis]) for grid in grids] for axis in range(num_axes)]


def _longest(length: int, core: int, halo: int, windows: Windows) -> int:
    regions = (_along(length, at, min(at + core, length), halo, windows)[1] for at in range(0, length, core))
    return max(last - first for first, last in regions)


def _along(length: int, start: int, stop: int, halo: int, windows: Windows) -> tuple[tuple[int, int], tuple[int, int]]:
    """Core and region along one axis.

    The last window of the whole image is moved back to end with it; a core under it has to see the end.
    """
    margin = max([halo, *(math.ceil(window - interval) for window, interval in windows)])
    under_last = [window for window, interval in windows if stop > length - window]
    position = min([start - margin, *(math.floor(length - window) for window in under_last)])
    first = _begin(max(0, position), [interval for _, interval in windows])
    if under_last:
        return (start, stop), (first, length)
    last = min(length, stop + margin)
    while last < length and not all(
        last - stop >= window or _is_whole(last - first - window, interval) for window, interval in windows
    ):
        last += 1
    return (start, stop), (first, last)


def _begin(position: int, intervals: Sequence[float]) -> int:
    """The next pixel at or before a position where a window of every grid begins, or nearly so."""
    best, smallest = position, math.inf
    for first in range(position, max(-1, position - 2 * math.ceil(max([1.0, *intervals]))), -1):
        distance = max((abs(first - round(first / interval) * interval) for interval in intervals), default=0.0)
        if distance < smallest - 1e-9:
            best, smallest = first, distance
        if smallest <= TOLERANCE_PX:
            break
    return best


def _is_whole(distance: float, interval: float) -> bool:
    return distance > -TOLERANCE_PX and abs(distance - round(distance / interval) * interval) <= TOLERANCE_PX


def _whole_steps(length: float, step: float) -> int:
    return max(1, round(math.ceil(length / step - 1e-9) * step))
