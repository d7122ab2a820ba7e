"""Drawn colon tissue: crypts whose outlines are known, and the slide that a scanner would make of them."""

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from skimage.color import hed2rgb

from tools.sample.files import smooth_noise

__all__ = ["MISSING_SHARE", "PIXEL_SIZE_UM", "STYLES", "draw_glass", "draw_slide", "place_crypts", "stain"]

PIXEL_SIZE_UM = 0.5
SEMI_AXES_PX = (38.0, 85.0)
GAP = 1.15  # crypts grown by this factor do not overlap
PX_PER_CRYPT = 36000  # area of tissue
WOBBLE = 0.07
GLASS_SHARE = 0.25  # of the slide's width or height
MISSING_SHARE = 0.16  # of the slide's width, black
NUCLEUS_PX = 3.0
CAMERA_NOISE = 0.008

# From the middle of a crypt (0) over its wall to the stroma (beyond 1): lumen, mucus, ring of nuclei, sheath.
RADII = (0.0, 0.30, 0.38, 0.72, 0.80, 0.97, 1.0, 1.06)
HAEMATOXYLIN = (0.002, 0.002, 0.012, 0.018, 0.045, 0.040, 0.012, 0.010)
EOSIN = (0.004, 0.004, 0.016, 0.014, 0.022, 0.026, 0.055, 0.042)

# Haematoxylin, eosin and a brownish tint, as factors of concentration; the tint is a concentration.
STYLES = ((1.0, 1.0, 0.0), (0.65, 1.45, 0.010))


def draw_slide(rng: np.random.Generator, size: int, style: int) -> tuple[np.ndarray, np.ndarray]:
    """A slide: tissue with crypts, glass along one side, and a black stripe, as of a region that was never released.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    size : int
        Height and width in pixels.
    style : int
        Index into ``STYLES``.

    Returns
    -------
    image : ndarray of uint8, shape (size, size, 3)
        RGB.
    mask : ndarray of bool, shape (size, size)
        Crypts that can be seen.
    """
    glass = draw_glass(rng, size)
    radius = place_crypts(rng, ~glass)
    image = stain(rng, *_concentrations(rng, radius, glass), style)
    missing = np.arange(size) >= round(size * (1 - MISSING_SHARE))
    image[:, missing] = 0
    return image, (radius < 1) & ~missing


def draw_glass(rng: np.random.Generator, size: int) -> np.ndarray:
    """Glass along the left or the upper side, with an uneven edge; bool, shape (size, size)."""
    wave = gaussian_filter1d(rng.normal(size=size), size / 30, mode="wrap")
    edge = size * (GLASS_SHARE + 0.02 * wave / wave.std())
    glass = np.arange(size) < edge[:, None]
    return glass if rng.random() < 0.5 else glass.T


def place_crypts(rng: np.random.Generator, tissue: np.ndarray) -> np.ndarray:
    """Round and elongated crypts that do not touch; they may be cut by the slide's border.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    tissue : ndarray of bool, shape (Y, X)
        Where crypts may lie.

    Returns
    -------
    ndarray of float, shape (Y, X)
        0 in the middle of a crypt, 1 at its outline, larger outside; at least one crypt is there if it finds room.
    """
    radius = np.full(tissue.shape, np.inf)
    wanted = max(1, round(np.count_nonzero(tissue) / PX_PER_CRYPT))
    for _ in range(60 * wanted):
        centre = rng.uniform(0, tissue.shape)
        window, candidate = _draw_crypt(rng, centre, tissue.shape)
        grown = candidate < GAP
        if (tissue[window] | ~grown).all() and (radius[window][grown] > GAP).all():
            np.minimum(radius[window], candidate, out=radius[window])
            wanted -= 1
        if not wanted:
            break
    return radius


def stain(rng: np.random.Generator, haematoxylin: np.ndarray, eosin: np.ndarray, style: int) -> np.ndarray:
    """What a scanner sees of stained tissue.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the camera's noise.
    haematoxylin, eosin : ndarray of float, shape (Y, X)
        Concentrations on scikit-image's scale, 0 for glass.
    style : int
        Index into ``STYLES``.

    Returns
    -------
    ndarray of uint8, shape (Y, X, 3)
        RGB.
    """
    more_haematoxylin, more_eosin, tint = STYLES[style]
    tinted = tint * (haematoxylin + eosin > 0)
    light = hed2rgb(np.stack([haematoxylin * more_haematoxylin, eosin * more_eosin, tinted], axis=-1))
    light = light * 0.965 + rng.normal(0, CAMERA_NOISE, light.shape)
    return np.rint(255 * light.clip(0, 1)).astype(np.uint8)


def _draw_crypt(
    rng: np.random.Generator, centre: np.ndarray, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], np.ndarray]:
    """A crypt's window of the slide, and in it the distance from the centre over that of the outline."""
    axes = np.sort(rng.uniform(*SEMI_AXES_PX, 2))
    angle, phase = rng.uniform(0, 2 * np.pi, 2)
    reach = GAP * (1 + WOBBLE) * axes[1]
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach) + 1, shape).astype(int)
    y, x = np.ogrid[low[0] : high[0], low[1] : high[1]]
    dy, dx = y - centre[0], x - centre[1]
    along, across = (
        (np.cos(angle) * dx + np.sin(angle) * dy) / axes[1],
        (np.cos(angle) * dy - np.sin(angle) * dx) / axes[0],
    )
    outline = 1 + WOBBLE * np.sin(3 * np.arctan2(across, along) + phase)
    return (slice(low[0], high[0]), slice(low[1], high[1])), np.hypot(along, across) / outline


def _concentrations(rng: np.random.Generator, radius: np.ndarray, glass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Haematoxylin and eosin of tissue with crypts, float (Y, X)."""
    ring = (radius > 0.76) & (radius < 0.96)
    chance = np.select([glass, ring, radius < 1.06], [0.0, 1 / 45, 0.0], 1 / 330)  # of a nucleus centre in a pixel
    nuclei = gaussian_filter((rng.random(radius.shape) < chance).astype(float), NUCLEUS_PX) * 2 * np.pi * NUCLEUS_PX**2
    texture = 1 + 0.25 * smooth_noise(rng, radius.shape, 2.0) + 0.15 * smooth_noise(rng, radius.shape, 25.0)
    tissue = ~glass * texture.clip(0.3)
    haematoxylin = (np.interp(radius, RADII, HAEMATOXYLIN) + 0.075 * np.tanh(1.6 * nuclei)) * tissue
    return haematoxylin, np.interp(radius, RADII, EOSIN) * tissue
