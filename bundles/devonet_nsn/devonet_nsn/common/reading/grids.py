"""Volumes that belong together must have one grid: they are turned onto it, or refused."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from nibabel.affines import voxel_sizes

from ..errors import InputError

__all__ = ["TOLERANCE", "find_turn", "turn_onto"]

TOLERANCE = 0.25  # of a voxel, by which the corners of two grids may differ; headers hold 32 bit numbers


def find_turn(
    shape: Sequence[int], affine: np.ndarray, reference_shape: Sequence[int], reference_affine: np.ndarray
) -> tuple[tuple[int, int, int], tuple[int, ...]] | None:
    """How the axes of a volume have to change to match another volume's grid.

    Parameters
    ----------
    shape, reference_shape : sequence of 3 ints
        Of both volumes, as stored.
    affine, reference_affine : ndarray, shape (4, 4)
        From voxels to micrometres.

    Returns
    -------
    order, flipped : tuple of int
        Axes of the volume in the reference's order, and which of them, so ordered, are to be reversed.
    None
        Where the volume lies elsewhere, or has voxels of another size.
    """
    step = np.linalg.inv(np.asarray(reference_affine, float)) @ np.asarray(affine, float)
    turn = np.rint(step[:3, :3]).astype(int)
    if not (np.abs(turn).sum(axis=0) == 1).all() or not (np.abs(turn).sum(axis=1) == 1).all():
        return None
    first, second, third = (int(axis) for axis in np.abs(turn).argmax(axis=1))
    order = first, second, third
    if tuple(shape[axis] for axis in order) != tuple(reference_shape):
        return None
    flipped = tuple(axis for axis in range(3) if turn[axis].sum() < 0)
    offset = np.array([reference_shape[axis] - 1 if axis in flipped else 0 for axis in range(3)])
    corners = np.array(list(product(*((0, length - 1) for length in shape))), float).T
    found = step[:3, :3] @ corners + step[:3, 3:]
    return (order, flipped) if np.abs(found - (turn @ corners + offset[:, None])).max() < TOLERANCE else None


def turn_onto(
    name: str,
    what: str,
    shape: Sequence[int],
    affine: np.ndarray,
    image_shape: Sequence[int],
    image_affine: np.ndarray,
    *,
    says_where: bool,
) -> tuple[tuple[int, int, int], tuple[int, ...]] | None:
    """How a volume that belongs to an image is brought onto the image's grid.

    Parameters
    ----------
    name, what : str
        Of the file, and of what it holds, for messages.
    shape, image_shape : sequence of 3 ints
        As stored.
    affine, image_affine : ndarray, shape (4, 4)
        From voxels to micrometres.
    says_where : bool
        Whether the volume's header holds a place, or only the size of its voxels.

    Returns
    -------
    tuple or None
        As `find_turn`; None where nothing has to be done.

    Raises
    ------
    InputError
        If the volume lies elsewhere than the image.
    """
    shape, image_shape = tuple(shape), tuple(image_shape)
    sizes, image_sizes = voxel_sizes(affine), voxel_sizes(image_affine)
    if not says_where and shape == image_shape and np.allclose(sizes, image_sizes, rtol=0.01, atol=0):
        return None
    turn = find_turn(shape, affine, image_shape, image_affine)
    if turn is None and shape != image_shape:
        raise InputError(f"{name}: {what} has shape {shape}, its image {image_shape}; both must have the same grid")
    if turn is None:
        distance = np.linalg.norm((affine - image_affine)[:3, 3])
        raise InputError(
            f"{name}: {what} lies elsewhere than its image, by its header: its first voxel is {distance:.3g} um away, "
            f"its spacing {_spacing_of(affine)}, the image's {_spacing_of(image_affine)}; bring it onto that grid"
        )
    return None if turn == ((0, 1, 2), ()) else turn


def _spacing_of(affine: np.ndarray) -> str:
    return " x ".join(f"{step:.3g}" for step in voxel_sizes(affine))
