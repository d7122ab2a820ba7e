"""Where an image is cut, and how far around its part a block looks."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import InputError

__all__ = ["Block", "Grid", "Windows", "along_axes", "choose_size", "cut", "overlap", "span", "within"]

Extent = tuple[tuple[int, int], ...]

TOLERANCE_PX = 0.05  # that windows in a block may lie beside those in the whole image
BYTES = 4  # of a pixel as a network takes it


@dataclass(frozen=True)
class Grid:
    """The windows that a network slides over an image.

    Attributes
    ----------
    window, interval : tuple of float
        Their size and distance along every axis, in pixels of the network.
    ratios : tuple of float
        How many pixels of the image one of the network's is, along every axis; 1 if not given.
    is_fixed : bool
        Whether the network's pixels lie where they do in the whole image, wherever a region begins. If not, the first
        of them is the first one of the region, which then has to begin and end where windows do.
    """

    window: tuple[float, ...]
    interval: tuple[float, ...]
    ratios: tuple[float, ...] = ()
    is_fixed: bool = False


@dataclass(frozen=True)
class Windows:
    """Those of a grid along one axis, see `Grid`."""

    window: float
    interval: float
    ratio: float = 1.0
    is_fixed: bool = False

    @property
    def window_px(self) -> float:
        return self.window * self.ratio

    @property
    def interval_px(self) -> float:
        return self.interval * self.ratio

    def count(self, length: int) -> int:
        """Pixels of the network along an axis of the image, as MONAI's Spacing has them."""
        return round((length - 1) / self.ratio) + 1


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
        Where no pixel of the image does so for all of them, the nearest one is taken, unless the grids are fixed.
    """
    axes = [_cut_axis(*axis) for axis in zip(shape, size, halo, along_axes(grids, len(shape)), strict=True)]
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
    """Cores whose blocks can be segmented in a given memory, in bytes, and see the fewest pixels twice; see `cut`.

    They are whole intervals of the windows that are furthest apart, where an axis is cut; the shape itself where the
    whole image fits. ``copies`` is how many times its pixels in 32 bit a network needs. InputError if not even the
    smallest blocks fit.
    """
    by_axis = [_ways(*axis) for axis in zip(shape, halo, along_axes(grids, len(shape)), strict=True)]
    ways = [
        (copies * BYTES * math.prod(way.longest for way in axes), math.prod(way.seen for way in axes), axes)
        for axes in itertools.product(*by_axis)
    ]
    fitting = [(seen, needed, axes) for needed, seen, axes in ways if needed <= memory]
    if not fitting:
        needed, _, axes = min(ways, key=lambda way: way[0])
        raise InputError(
            f"--memory {memory / 1e9:.3g}: the smallest blocks, {'x'.join(str(way.core) for way in axes)} pixels and "
            f"what the network sees around them, need {needed / 1e9:.3g} GB; give more, or smaller --blocks"
        )
    fewest = min(fitting, key=lambda way: (*way[:2], *(-one.core for one in reversed(way[2]))))  # whole lines rather
    return tuple(one.core for one in fewest[2])


@dataclass(frozen=True)
class _Way:
    """To cut an axis: sides of the cores, side of the largest region, and of all regions together."""

    core: int
    longest: int
    seen: int


def _ways(length: int, halo: int, windows: Sequence[Windows]) -> list[_Way]:
    """Into ever smaller parts of whole steps, of which less than a tenth fewer than the last are left out."""
    step = max([1.0, *(one.interval_px for one in windows)])
    ways, most, count = {}, math.ceil(length / step), 1
    while count <= most:
        core = length if count == 1 else _whole_steps(length / count, step)
        if core not in ways:
            sides = [last - first for _, (first, last) in _cut_axis(length, core, halo, windows)]
            ways[core] = _Way(core, max(sides), sum(sides))
        count = most if count < most < count * 1.1 else max(count + 1, int(count * 1.1))
    return list(ways.values())


def span(length: int, start: int, stop: int, halo: int, windows: Windows) -> tuple[int, int]:
    """What a network has to see of an axis of the whole image, for a core there: start and stop in its own pixels.

    The arguments are pixels of the image; the windows those of a fixed grid.
    """
    count = windows.count(length)
    window, interval = min(int(windows.window), count), int(windows.interval)
    margin = math.ceil(halo / windows.ratio - 1e-6)
    first, last = math.floor(start / windows.ratio), min(count, math.floor((stop - 1) / windows.ratio) + 1)
    begin = max(0, min(first - max(margin, window - interval), count - window)) // interval * interval
    if last > count - window:  # the last window is moved back to end with the image
        return begin, count
    seen = max(last + margin, (last - 1) // interval * interval + window)
    return begin, min(count, begin + window + math.ceil((seen - begin - window) / interval) * interval)


def along_axes(grids: Sequence[Grid], num_axes: int) -> list[list[Windows]]:
    """The windows of all grids, for every axis."""
    return [
        [
            Windows(grid.window[axis], grid.interval[axis], grid.ratios[axis] if grid.ratios else 1.0, grid.is_fixed)
            for grid in grids
        ]
        for axis in range(num_axes)
    ]


def _cut_axis(
    length: int, size: int, halo: int, windows: Sequence[Windows]
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Cores of a size along one axis, each with its region."""
    cores = [(start, min(start + size, length)) for start in range(0, length, size)]
    return [(core, _region(length, *core, halo, windows)) for core in cores]


def _region(length: int, start: int, stop: int, halo: int, windows: Sequence[Windows]) -> tuple[int, int]:
    """Of a core along one axis."""
    if not windows or not all(one.is_fixed for one in windows):
        return _aligned(length, start, stop, halo, [(one.window_px, one.interval_px) for one in windows])
    regions = []
    for one in windows:
        begin, end = span(length, start, stop, halo, one)
        last = length if end == one.count(length) else math.ceil((end - 1) * one.ratio) + 1
        regions.append((math.floor(begin * one.ratio), last))
    return min(first for first, _ in regions), min(length, max(last for _, last in regions))


def _aligned(length: int, start: int, stop: int, halo: int, windows: Sequence[tuple[float, float]]) -> tuple[int, int]:
    """Region along one axis that begins and ends where windows do, of a size and interval in pixels of the image.

    The last window of the whole image is moved back to end with it; a core under it has to see the end.
    """
    margin = max([halo, *(math.ceil(window - interval) for window, interval in windows)])
    under_last = [window for window, interval in windows if stop > length - window]
    position = min([start - margin, *(math.floor(length - window) for window in under_last)])
    first = _begin(max(0, position), [interval for _, interval in windows])
    if under_last:
        return first, length
    last = min(length, stop + margin)
    while last < length and not all(
        last - stop >= window or _is_whole(last - first - window, interval) for window, interval in windows
    ):
        last += 1
    return first, last


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
