"""Drawn white matter: myelinated fibres whose outlines are known, and what an electron microscope would show."""

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from tools.sample.files import smooth_noise

__all__ = ["PIXEL_SIZE_UM", "draw_nerve", "place_fibres", "shade"]

PIXEL_SIZE_UM = 0.01
RADII_PX = (14.0, 40.0)
G_RATIOS = (0.55, 0.82)
WOBBLE = 0.05  # where circles touch, wobbles part the fibres or press them flat
TOUCHING_SHARE = 0.6  # of the fibres that are put beside another
FILL = 0.62  # of the area, before it is given up
LAMELLA_PX = 4.0

AXOPLASM, MYELIN, STROMA, MEMBRANE = 165.0, 55.0, 140.0, 75.0
NUM_SMALL_AXONS_PER_PX = 1 / 260


def draw_nerve(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fibres, many of which touch, in a stroma of small axons without myelin.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    size : int
        Height and width in pixels.

    Returns
    -------
    image : ndarray of uint8, shape (size, size)
        Gray values; myelin is dark.
    labels : ndarray of int32, shape (size, size)
        One number for an axon and its sheath.
    axon : ndarray of bool, shape (size, size)
        Axons of those fibres.
    """
    labels, radius, g_ratios = place_fibres(rng, size)
    axon = (labels > 0) & (radius < g_ratios[labels])
    return shade(rng, labels, radius, axon), labels, axon


def place_fibres(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fibres of many sizes; none lies over another, and the border of the image cuts some.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    size : int
        Height and width of the image in pixels.

    Returns
    -------
    labels : ndarray of int32, shape (size, size)
        Fibres, 1 to n; 0 is stroma.
    radius : ndarray of float, shape (size, size)
        0 in the middle of the fibre that a pixel belongs to, or else is closest to, 1 at its outline.
    g_ratios : ndarray of float, shape (n + 1,)
        Radius of the axon over that of the fibre, by label; 0 for stroma.
    """
    circles = _place_circles(rng, size)
    labels, radius = np.zeros((size, size), np.int32), np.full((size, size), np.inf)
    y, x = np.mgrid[:size, :size]
    for label, (row, column, reach) in enumerate(circles, 1):
        angle = np.arctan2(y - row, x - column)
        phases = rng.uniform(0, 2 * np.pi, 3)
        outline = 1 + WOBBLE * sum(
            np.sin(order * angle + phase) for order, phase in zip((2, 3, 5), phases, strict=True)
        )
        own = np.hypot(y - row, x - column) / (reach * outline)
        labels[own < radius] = label
        np.minimum(radius, own, out=radius)
    g_ratios = np.concatenate([[0], rng.uniform(*G_RATIOS, len(circles))])
    return np.where(radius < 1, labels, 0).astype(np.int32), radius, g_ratios


def shade(rng: np.random.Generator, labels: np.ndarray, radius: np.ndarray, axon: np.ndarray) -> np.ndarray:
    """What a transmission electron microscope sees.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of texture and noise.
    labels, radius : ndarray, shape (Y, X)
        As `place_fibres` returns them.
    axon : ndarray of bool, shape (Y, X)
        Axons of the fibres.

    Returns
    -------
    ndarray of uint8, shape (Y, X)
        Gray values.
    """
    shape = labels.shape
    axoplasm = AXOPLASM + 14 * smooth_noise(rng, shape, 1.2) + 10 * smooth_noise(rng, shape, 9.0)
    axoplasm -= 85 * (smooth_noise(rng, shape, 4.0) > 2.3)  # mitochondria
    lamellae = (
        MYELIN + 9 * np.sin(2 * np.pi * radius * np.mean(RADII_PX) / LAMELLA_PX) + 5 * smooth_noise(rng, shape, 1.0)
    )
    stroma = np.where(_membranes(rng, shape), MEMBRANE, STROMA) + 12 * smooth_noise(rng, shape, 2.0)
    image = np.select([axon, labels > 0], [axoplasm, lamellae], stroma)
    image = gaussian_filter(image, 0.8) + 6 * smooth_noise(rng, shape, 30.0) + rng.normal(0, 7, shape)
    return np.rint(image.clip(0, 255)).astype(np.uint8)


def _place_circles(rng: np.random.Generator, size: int) -> list[tuple[float, float, float]]:
    """Rows, columns and radii of circles that do not overlap; most touch another."""
    circles: list[tuple[float, float, float]] = []
    covered = 0.0
    for _ in range(400):
        reach = RADII_PX[0] + (RADII_PX[1] - RADII_PX[0]) * rng.beta(1.2, 2.0)
        row, column = rng.uniform(0, size, 2)
        if circles and rng.random() < TOUCHING_SHARE:
            other, angle = circles[rng.integers(len(circles))], rng.uniform(0, 2 * np.pi)
            gap = reach + other[2]
            row, column = other[0] + gap * np.sin(angle), other[1] + gap * np.cos(angle)
        inside = 0 <= row < size and 0 <= column < size
        if inside and all(np.hypot(row - r, column - c) >= 0.999 * (reach + o) for r, c, o in circles):
            circles.append((row, column, reach))
            covered += np.pi * reach**2
        if covered > FILL * size**2:
            break
    return circles


def _membranes(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Thin dark outlines of small axons without myelin: borders of the cells around random points."""
    points = rng.uniform(0, shape, (max(2, round(shape[0] * shape[1] * NUM_SMALL_AXONS_PER_PX)), 2))
    pixels = np.moveaxis(np.mgrid[: shape[0], : shape[1]], 0, -1)
    nearest = np.asarray(cKDTree(points).query(pixels, k=2)[0])
    return nearest[..., 1] - nearest[..., 0] < 1.6
