"""Truth that is shifted by a part of a voxel against its image: measuring the shift, and moving it back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["Offset", "agreement", "estimate_offset", "move_labels"]

REACH = 3
"""Offsets are looked for up to this many voxels along each axis."""
SMOOTHING = 1.0
"""Sigma in voxels of the blur that both sides get before they are compared."""
FEWEST_FRAMES = 3
"""With fewer frames the bootstrap draws nuclei: so few frames would say nothing about chance."""
NUM_DRAWS = 2000
NEGLIGIBLE = 0.05
"""Offsets below this many voxels are left: neither the measurement nor the move is that exact."""

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Offset:
    """How far the truth of a sequence has to be moved to match its images.

    Attributes
    ----------
    voxels : tuple of float
        Along (Z, Y, X); 0 along an axis that is too short.
    low, high : tuple of float
        Bootstrap interval of 95 % of each.
    num_objects, num_frames : int
        How many objects of how many frames it was measured on.
    """

    voxels: tuple[float, float, float]
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    num_objects: int
    num_frames: int

    @property
    def significant(self) -> tuple[float, float, float]:
        """The offset along the axes where it is more than chance and more than negligible, and 0 along the others."""
        z, y, x = (
            voxels if (low > 0 or high < 0) and abs(voxels) >= NEGLIGIBLE else 0.0
            for voxels, low, high in zip(self.voxels, self.low, self.high, strict=True)
        )
        return z, y, x

    def as_fact(self) -> dict[str, Any]:
        """The entry in dataset.json, rounded to a thousandth of a voxel."""
        interval = [[round(low, 3), round(high, 3)] for low, high in zip(self.low, self.high, strict=True)]
        return {
            "offset_zyx_voxels": [round(value, 3) for value in self.voxels],
            "interval_95": interval,
            "objects": self.num_objects,
            "frames": self.num_frames,
        }


def agreement(image: NDArray[Any], labels: NDArray[np.integer]) -> Floats:
    """How well each object fits its image when it is moved by whole voxels.

    Parameters
    ----------
    image : ndarray, shape (Z, Y, X)
        Gray values; objects are brighter than what is around them.
    labels : ndarray of int, shape (Z, Y, X)
        0 is background. Objects that touch a border are left out, since a part of them is outside.

    Returns
    -------
    ndarray of float64, shape (num_objects, 7, 7, 7)
        Correlation of the blurred image with the blurred object, for moves of -3 to 3 voxels along (Z, Y, X); 1 instead
        of 7 along an axis shorter than 9. All objects of a volume are in one unit.
    """
    from scipy import signal  # slow to import, and needed with --align only

    reach = [REACH if size > 2 * REACH + 2 else 0 for size in image.shape]
    blurred = ndimage.gaussian_filter(image.astype(np.float32), [SMOOTHING * (step > 0) for step in reach])
    spread = float(blurred.std()) or 1.0
    margin = [step + int(np.ceil(3 * SMOOTHING)) if step else 0 for step in reach]
    surfaces = []
    objects = _number(labels)[1]
    for index, box in enumerate(ndimage.find_objects(objects), 1):
        if any(
            step and (side.start == 0 or side.stop == size)
            for side, size, step in zip(box, image.shape, reach, strict=True)
        ):
            continue
        # the crops may reach beyond the volume, where the image continues as at its border and no object is
        inside = _crop(objects, box, [m - step for m, step in zip(margin, reach, strict=True)], "constant") == index
        mask = ndimage.gaussian_filter(inside.astype(np.float32), [SMOOTHING * (step > 0) for step in reach])
        around = _crop(blurred, box, margin, "edge").astype(np.float64)
        surfaces.append(signal.correlate(around - around.mean(), mask, mode="valid", method="fft") / spread)
    return np.stack(surfaces) if surfaces else np.zeros((0, *(2 * step + 1 for step in reach)))


def _number(labels: NDArray[np.integer]) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Ids in order, background first, and the labels as numbers 1..n: an id may be as large as its type."""
    ids, numbers = np.unique(np.append(labels.reshape(-1), 0), return_inverse=True)
    return ids, numbers[:-1].reshape(labels.shape)


def _crop(volume: NDArray[Any], box: tuple[slice, ...], margin: Sequence[int], mode: Any) -> NDArray[Any]:
    """The box with a margin on each side, padded where that reaches beyond the volume."""
    sides = [(side.start - m, side.stop + m) for side, m in zip(box, margin, strict=True)]
    padding = [(max(0, -a), max(0, b - size)) for (a, b), size in zip(sides, volume.shape, strict=True)]
    inner = tuple(slice(max(0, a), b) for a, b in sides)
    return np.pad(volume[inner], padding, mode=mode)


def estimate_offset(frames: Sequence[Floats], seed: int = 0) -> Offset | None:
    """The constant offset of a sequence, where the agreement of all its frames together is best.

    Parameters
    ----------
    frames : sequence of ndarray
        What `agreement` gives for each frame.
    seed : int
        Of the bootstrap, which draws frames, or objects where there are fewer than three frames.

    Returns
    -------
    Offset or None
        None without an object, or where the agreement has no maximum within three voxels: then the images and the
        truth do not fit at all, or objects are not brighter than their surroundings.
    """
    frames = [surfaces for surfaces in frames if len(surfaces)]
    if not frames:
        return None
    units = np.stack([surfaces.sum(0) for surfaces in frames])
    if len(frames) < FEWEST_FRAMES:
        units = np.concatenate(frames)
    best = _peak(units.sum(0))
    if best is None:
        return None
    rng = np.random.default_rng(seed)
    shares = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), size=NUM_DRAWS)
    drawn = [peak for share in shares if (peak := _peak(np.tensordot(share, units, 1))) is not None]
    low, high = np.percentile(np.stack(drawn or [best]), [2.5, 97.5], axis=0)
    return Offset(_zyx(best), _zyx(low), _zyx(high), sum(map(len, frames)), len(frames))


def _zyx(values: Floats) -> tuple[float, float, float]:
    z, y, x = map(float, values)
    return z, y, x


def _peak(surface: Floats) -> Floats | None:
    """Sub-voxel place of the maximum, from its centre: a parabola along each axis; None at the surface's border."""
    place = np.unravel_index(np.argmax(surface), surface.shape)
    offset = np.zeros(surface.ndim)
    for axis, (at, size) in enumerate(zip(place, surface.shape, strict=True)):
        if size == 1:
            continue
        if at in (0, size - 1):
            return None
        before, here, after = np.moveaxis(surface, axis, 0)[at - 1 : at + 2, *np.delete(place, axis)]
        curvature = before - 2 * here + after
        offset[axis] = at - size // 2 + (0.5 * (before - after) / curvature if curvature else 0.0)
    return offset


def move_labels(labels: NDArray[np.integer], offset: Sequence[float]) -> NDArray[np.integer]:
    """Move every object by a part of a voxel; each keeps its volume.

    An object is blurred by a Gaussian whose centre lies ``offset`` away, which moves it without any interpolation, and
    its border is where the blurred object, had it stayed, would hold as many voxels as it has. (A linear
    interpolation would draw the border to where half the voxel's value is, whatever the offset.)

    Parameters
    ----------
    labels : ndarray of int, shape (Z, Y, X)
        0 is background.
    offset : sequence of float
        Voxels along (Z, Y, X).

    Returns
    -------
    ndarray of int, shape (Z, Y, X)
        The same ids and dtype. Where two objects would cover a voxel, it goes to the one that lies deeper there; what
        leaves the volume is cut off.
    """
    if not any(offset):
        return labels
    # an axis along which nothing moves is not blurred
    margin = [int(np.ceil(3 * SMOOTHING + abs(value))) if value else 0 for value in offset]
    moved, depth = np.zeros_like(labels), np.zeros(labels.shape, np.float32)
    ids, objects = _number(labels)
    for index, box in enumerate(ndimage.find_objects(objects), 1):
        sides = [(side.start - m, side.stop + m) for side, m in zip(box, margin, strict=True)]
        inner = tuple(slice(max(0, a), b) for a, b in sides)
        # what touches the volume's border continues beyond it, or the border would be moved like a side of the object
        inside = _crop(objects, box, margin, "edge") == index
        still, blurred = inside.astype(np.float32), inside.astype(np.float32)
        for axis, (value, radius) in enumerate(zip(offset, margin, strict=True)):
            still = ndimage.convolve1d(still, _gaussian(0.0, radius), axis, mode="nearest")
            blurred = ndimage.convolve1d(blurred, _gaussian(value, radius), axis, mode="nearest")
        cut = tuple(
            slice(max(0, -a), max(0, -a) + (s.stop if s.stop < size else size) - s.start)
            for (a, _), s, size in zip(sides, inner, labels.shape, strict=True)
        )
        # as many voxels of the blurred object lie above this as it has, wherever it is moved
        whole = np.partition(still, -int(inside.sum()), axis=None)[-int(inside.sum())]
        above = blurred[cut] / whole
        wins = (above > 0.9999) & (above > depth[inner])
        moved[inner][wins] = ids[index]
        depth[inner][wins] = above[wins]
    return moved


def _gaussian(centre: float, radius: int) -> Floats:
    """Weights of a Gaussian whose centre lies that many voxels after the middle one; a whole one of radius 0."""
    weights = np.exp(-0.5 * ((np.arange(-radius, radius + 1) - centre) / SMOOTHING) ** 2)
    return weights / weights.sum()
