"""Drawn cells without a label: outlines that are known, and what a phase contrast microscope would show of them."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.draw import polygon2mask

__all__ = ["CELL_TYPES", "SHAPE", "CellType", "crowded", "draw_field", "draw_outline", "illuminate", "place_cells"]

SHAPE = (520, 704)  # LIVECell's
NUM_POINTS = 48
TOUCHING = 0.03  # share of a cell that may lie on others
GRAY = 128.0
HALO_PX = 2.5
LIGHT_LEVEL = 12.0
NOISE_LEVEL = 2.5


@dataclass(frozen=True)
class CellType:
    """How the cells of one kind look.

    Attributes
    ----------
    radius_px : tuple of float
        Range of the mean radius.
    stretch : tuple of float
        Range of length over width.
    lobes : float
        How far the outline goes in and out, as a share of the radius.
    body, halo, texture : float
        Gray values of the cytoplasm against the background, of the bright rim, and of the grains inside.
    num_cells : tuple of int
        Range of cells per field.
    """

    radius_px: tuple[float, float]
    stretch: tuple[float, float]
    lobes: float
    body: float
    halo: float
    texture: float
    num_cells: tuple[int, int]


CELL_TYPES = {
    "Round": CellType((8, 13), (1.0, 1.2), 0.04, 10.0, 95.0, 14.0, (60, 110)),
    "Spindle": CellType((15, 22), (2.8, 4.5), 0.08, -14.0, 55.0, 16.0, (25, 45)),
    "Spread": CellType((28, 42), (1.0, 1.7), 0.22, -9.0, 32.0, 20.0, (10, 20)),
}


def crowded(kind: CellType, num_cells: int) -> CellType:
    """The same kind with another number of cells, as small as it takes for them to cover as much as its most do."""
    shrink = min(1.0, (kind.num_cells[1] / num_cells) ** 0.5)
    smallest, largest = kind.radius_px
    return replace(kind, radius_px=(shrink * smallest, shrink * largest), num_cells=(num_cells, num_cells))


def draw_field(rng: np.random.Generator, kind: CellType) -> tuple[np.ndarray, list[np.ndarray]]:
    """A field of view with cells of one type, some of them cut by its border.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    kind : CellType
        Such as those of ``CELL_TYPES``.

    Returns
    -------
    image : ndarray of uint8, shape (520, 704)
        Gray values.
    outlines : list of ndarray of float, shape (48, 2)
        Outline of each cell, points (x, y) in pixels from the image's upper left corner, inside the image.
    """
    outlines, labels = place_cells(rng, kind)
    return illuminate(rng, labels, kind), outlines


def place_cells(rng: np.random.Generator, kind: CellType) -> tuple[list[np.ndarray], np.ndarray]:
    """Cells that may touch but hardly overlap.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    kind : CellType
        How they look.

    Returns
    -------
    outlines : list of ndarray of float, shape (48, 2)
        As for `draw_field`.
    labels : ndarray of int, shape (520, 704)
        Number of the cell in each pixel, 0 outside.
    """
    labels, outlines = np.zeros(SHAPE, int), []
    wanted = int(rng.integers(*kind.num_cells, endpoint=True))
    for _ in range(8 * wanted):
        outline = draw_outline(rng, kind)
        low = np.clip(np.floor(outline.min(axis=0)).astype(int), 0, None)
        high = np.ceil(outline.max(axis=0)).astype(int) + 1
        window = labels[low[1] : high[1], low[0] : high[0]]
        inside = polygon2mask(window.shape, (outline - low - 0.5)[:, ::-1])
        if inside.sum() > 30 and np.count_nonzero(window[inside]) <= TOUCHING * inside.sum():
            outlines.append(outline)
            window[inside] = len(outlines)
        if len(outlines) == wanted:
            break
    return outlines, labels


def draw_outline(rng: np.random.Generator, kind: CellType) -> np.ndarray:
    """A closed outline somewhere in the image, cut off at its border; float (x, y), shape (48, 2), two decimals."""
    angle = np.linspace(0, 2 * np.pi, NUM_POINTS, endpoint=False)
    waves = np.zeros(NUM_POINTS)
    for order in (2, 3, 5):
        waves += rng.normal() / order * np.sin(order * angle + rng.uniform(0, 2 * np.pi))
    radius = rng.uniform(*kind.radius_px) * (1 + kind.lobes * waves).clip(0.4)
    stretch = np.sqrt(rng.uniform(*kind.stretch))
    along, across = radius * np.cos(angle) * stretch, radius * np.sin(angle) / stretch
    turn = rng.uniform(0, 2 * np.pi)
    x = along * np.cos(turn) - across * np.sin(turn) + rng.uniform(0, SHAPE[1])
    y = along * np.sin(turn) + across * np.cos(turn) + rng.uniform(0, SHAPE[0])
    return np.round(np.stack([x.clip(0, SHAPE[1]), y.clip(0, SHAPE[0])], axis=1), 2)


def illuminate(rng: np.random.Generator, labels: np.ndarray, kind: CellType) -> np.ndarray:
    """What the microscope shows: bright halo around dark rim, grains inside, uneven light, noise.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    labels : ndarray of int, shape (Y, X)
        Number of the cell in each pixel, 0 outside.
    kind : CellType
        How the cells look.

    Returns
    -------
    ndarray of uint8, shape (Y, X)
        Gray values.
    """
    inside = labels > 0
    depth = _depth(labels)
    outward = distance_transform_edt(~inside) if not inside.all() else np.zeros(labels.shape)
    halo = kind.halo * np.exp(-(((outward - 1.5) / HALO_PX) ** 2)) * ~inside
    rim = -0.6 * kind.halo * np.exp(-((depth - 1.0) / 2.0).clip(0)) * inside
    body = kind.body * np.tanh(depth / 4)
    swelling = 0.5 * abs(kind.body) * np.tanh((depth / (0.6 * kind.radius_px[0])) ** 2)  # thick where the nucleus is
    grains = kind.texture * (_noise(rng, labels.shape, 1.2) + 0.5 * _noise(rng, labels.shape, 4.0)) * np.tanh(depth / 3)
    light = LIGHT_LEVEL * _uneven_light(rng, labels.shape)
    dirt = 3.0 * _noise(rng, labels.shape, 1.5) * (_noise(rng, labels.shape, 12.0) > 1)
    optics = gaussian_filter(halo + rim + body + swelling + 0.6 * grains + dirt, 0.8)
    image = GRAY + light + optics + rng.normal(0, NOISE_LEVEL, labels.shape)
    return np.rint(image.clip(0, 255)).astype(np.uint8)


def _depth(labels: np.ndarray) -> np.ndarray:
    """Distance of a cell's pixels to the next pixel that is not of this cell, in pixels; 0 outside."""
    padded = np.pad(labels, 1, mode="edge")
    same = np.ones(labels.shape, bool)
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        same &= padded[dy : dy + labels.shape[0], dx : dx + labels.shape[1]] == labels
    core = same & (labels > 0)
    return (distance_transform_edt(core) + 0.5) * (labels > 0)


def _uneven_light(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Slow waves across the image, of standard deviation 1."""
    y, x = (np.linspace(0, 2 * np.pi, size) for size in shape)
    waves = [(rng.normal(), *rng.uniform(-0.7, 0.7, 2), rng.uniform(0, 2 * np.pi)) for _ in range(4)]
    light = sum(height * np.cos(down * y[:, None] + right * x + phase) for height, down, right, phase in waves)
    return (light - light.mean()) / light.std()


def _noise(rng: np.random.Generator, shape: tuple[int, int], sigma_px: float) -> np.ndarray:
    """Smooth noise of mean about 0 and standard deviation 1."""
    noise = gaussian_filter(rng.normal(size=shape), sigma_px, truncate=2.5)
    return (noise - noise.mean()) / noise.std()
