"""A drawn 3D embryo: exact nuclei, and the picture that a fluorescence microscope would take of them."""

import numpy as np
from scipy.ndimage import gaussian_filter

__all__ = ["SHAPE", "SPACING_UM", "draw_image", "draw_labels", "draw_markers", "place_nuclei"]

SHAPE = (24, 64, 64)
SPACING_UM = (2.0, 0.8, 0.8)

EMBRYO_RADIUS_UM = 22.0
PACKING = 0.2  # part of the embryo that nuclei fill
CONTACT = 0.88  # distance of two centres in touch, over the sum of their radii: below 1, since nuclei are not round
PSF_SIGMA_UM = (2.0, 0.6, 0.6)
CHROMATIN_SIGMA_UM = 0.7
ATTENUATION_UM = 70.0
CAMERA_OFFSET, CAMERA_GAIN, READ_NOISE = 100.0, 12.0, 3.0


def place_nuclei(rng: np.random.Generator, num_nuclei: int) -> tuple[np.ndarray, np.ndarray]:
    """Ellipsoids inside an embryo, every third one in touch with an earlier one.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    num_nuclei : int
        Number of nuclei; the more there are, the smaller.

    Returns
    -------
    centres : ndarray of float, shape (num_nuclei, 3)
        In µm from the middle of the volume, (Z, Y, X).
    shapes : ndarray of float, shape (num_nuclei, 3, 3)
        Per µm: ``norm(shape @ (point - centre))`` is 1 on the surface.
    """
    mean_radius = EMBRYO_RADIUS_UM * (PACKING / max(num_nuclei, 8)) ** (1 / 3)
    radii = mean_radius * rng.uniform(0.8, 1.15, num_nuclei)
    centres = np.zeros((num_nuclei, 3))
    for index, radius in enumerate(radii):
        contacts = CONTACT * (radii[:index] + radius)
        neighbour = int(rng.integers(index)) if index % 3 == 1 else None
        centres[index] = _free_place(rng, centres[:index], contacts, EMBRYO_RADIUS_UM - radius, neighbour)
    axes = radii[:, None] * rng.uniform(0.88, 1.12, (num_nuclei, 3))
    rotations = np.linalg.qr(rng.normal(size=(num_nuclei, 3, 3)))[0]
    return centres, rotations / axes[:, :, None]


def draw_labels(centres: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Truth: every voxel belongs to the nucleus whose inside it lies deepest in, so nuclei touch but never overlap.

    Parameters
    ----------
    centres : ndarray of float, shape (n, 3)
        In µm from the middle of the volume, (Z, Y, X).
    shapes : ndarray of float, shape (n, 3, 3)
        As `place_nuclei` returns them.

    Returns
    -------
    ndarray of uint16, shape SHAPE
        0 is background, 1..n the nuclei in order.
    """
    labels = np.zeros(SHAPE, np.uint16)
    nearest = np.ones(SHAPE)
    for label, (centre, shape) in enumerate(zip(centres, shapes, strict=True), start=1):
        distance = np.linalg.norm((_voxels_um() - centre) @ shape.T, axis=-1)
        inside = distance < nearest
        labels[inside], nearest[inside] = label, distance[inside]
    return labels


def draw_markers(labels: np.ndarray, centres: np.ndarray, ids: np.ndarray, *, radius_px: float = 2.0) -> np.ndarray:
    """One small ball per nucleus, clipped to the nucleus.

    Parameters
    ----------
    labels : ndarray of uint16, shape SHAPE
        Truth as `draw_labels` returns it.
    centres : ndarray of float, shape (n, 3)
        In µm from the middle of the volume, (Z, Y, X).
    ids : ndarray of int, shape (n,)
        Marker id of every nucleus.
    radius_px : float
        Radius of the balls, in voxels along every axis.

    Returns
    -------
    ndarray of uint16, shape SHAPE
        0 is background.
    """
    markers = np.zeros_like(labels)
    for label, (centre, marker) in enumerate(zip(centres, ids, strict=True), start=1):
        distance = np.linalg.norm((_voxels_um() - centre) / SPACING_UM, axis=-1)
        markers[(distance <= radius_px) & (labels == label)] = marker
    return markers


def draw_image(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """What the microscope sees: uneven chromatin, dim depths, blur that is wider along Z, and a noisy camera.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    labels : ndarray of uint16, shape SHAPE
        Truth, labels 1..n.

    Returns
    -------
    ndarray of uint16, shape SHAPE
        Camera counts, about 100 where there is nothing.
    """
    brightness = np.append(0.0, 260.0 * rng.lognormal(0.0, 0.3, labels.max()))
    chromatin = gaussian_filter(rng.normal(size=SHAPE), _sigma_px((CHROMATIN_SIGMA_UM,) * 3))
    glow = brightness[labels] * np.clip(1 + 0.55 * chromatin / chromatin.std(), 0.2, None)
    voxels = _voxels_um()
    glow += 8.0 * (np.linalg.norm(voxels, axis=-1) < EMBRYO_RADIUS_UM)  # cytoplasm
    glow *= np.exp(-(voxels[..., 0] - voxels[0, 0, 0, 0]) / ATTENUATION_UM)
    seen = gaussian_filter(glow, _sigma_px(PSF_SIGMA_UM)) + 6.0
    counts = CAMERA_OFFSET + CAMERA_GAIN * rng.poisson(seen / CAMERA_GAIN) + rng.normal(0, READ_NOISE, SHAPE)
    return np.clip(np.rint(counts), 0, np.iinfo(np.uint16).max).astype(np.uint16)


def _free_place(
    rng: np.random.Generator, centres: np.ndarray, contacts: np.ndarray, reach: float, neighbour: int | None
) -> np.ndarray:
    """A centre at most ``reach`` µm from the middle, no nearer to any other than ``contacts`` allows.

    It touches ``neighbour`` where one is given. In a crowded embryo the roomiest of the places tried is taken.
    """
    best, best_room = np.zeros(3), -np.inf
    for _ in range(200):
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        if neighbour is None:
            place = direction * reach * rng.random() ** (1 / 3)
        else:
            place = centres[neighbour] + direction * contacts[neighbour]
        room = np.min(np.linalg.norm(centres - place, axis=1) - contacts, initial=np.inf)
        room = min(room, reach - np.linalg.norm(place))
        if room > best_room:
            best, best_room = place, room
        if room >= -1e-9:
            break
    return best


def _voxels_um() -> np.ndarray:
    """Position of every voxel in µm from the middle of the volume, shape (*SHAPE, 3)."""
    middle = (np.array(SHAPE) - 1) / 2
    return (np.moveaxis(np.indices(SHAPE), 0, -1) - middle) * SPACING_UM


def _sigma_px(sigma_um: tuple[float, float, float]) -> np.ndarray:
    return np.array(sigma_um) / SPACING_UM
