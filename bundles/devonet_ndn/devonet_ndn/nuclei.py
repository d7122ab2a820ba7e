"""Size, place, shape and brightness of every nucleus."""

from collections.abc import Sequence

import numpy as np
from skimage.measure import marching_cubes, mesh_surface_area, regionprops

__all__ = ["COLUMNS", "measure_nuclei"]

COLUMNS = (*("id", "z_um", "y_um", "x_um", "volume_um3", "surface_area_um2", "sphericity", "mean_intensity"), "marker")


def measure_nuclei(
    labels: np.ndarray, intensity: np.ndarray, spacing: Sequence[float], without_marker: Sequence[int] = ()
) -> list[tuple[float, ...]]:
    """One row per nucleus, in order of the labels.

    Parameters
    ----------
    labels : ndarray of int, shape (Z, Y, X)
        Instances; 0 is background.
    intensity : ndarray, same shape
        The image as it was taken.
    spacing : sequence of float
        Size of a voxel in micrometres, (Z, Y, X).
    without_marker : sequence of int
        Labels of objects that no marker began.

    Returns
    -------
    list of tuple
        As `COLUMNS` says: label; centroid in µm from the middle of the first voxel; volume of the voxels in µm³; area
        of the surface in µm², from a triangle mesh through the middle of the border; sphericity of that mesh; mean of
        the image; 1 if a marker began the object, else 0.
    """
    rows = []
    unmarked = set(map(int, without_marker))
    spacing = tuple(map(float, spacing))
    for nucleus in regionprops(labels, intensity_image=intensity, spacing=spacing):
        area, sphericity = _measure_surface(nucleus.image, spacing)
        centre = [float(position) for position in nucleus.centroid]
        marker = int(nucleus.label not in unmarked)
        volume, mean = float(nucleus.area), float(nucleus.intensity_mean)
        rows.append((int(nucleus.label), *centre, volume, area, sphericity, mean, marker))
    return rows


def _measure_surface(region: np.ndarray, spacing: tuple[float, ...]) -> tuple[float, float]:
    """Area of the surface, and sphericity: the area of a ball of the volume that it encloses over its own."""
    vertices, faces, *_ = marching_cubes(np.pad(region, 1).astype(np.float32), 0.5, spacing=spacing)
    area = float(mesh_surface_area(vertices, faces))
    # not the volume of the voxels: with it, small objects would be rounder than a ball
    enclosed = abs(float(np.linalg.det(vertices[faces].astype(float)).sum())) / 6
    return area, np.pi ** (1 / 3) * (6 * enclosed) ** (2 / 3) / area
